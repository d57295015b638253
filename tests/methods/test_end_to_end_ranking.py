import pytest
import torch
from torch.nn.functional import adaptive_avg_pool1d, margin_ranking_loss

from aqakit.methods import end_to_end_ranking
from aqakit.methods.end_to_end_ranking import ranking_loss, segment_means
from aqakit.types import FeatureSpec, LabelSpec, ScoreScale, Stream
from tests.synthetic import FEATURES, LABELS, batch

SCORE = torch.tensor([70.0, 50.0, 90.0, 50.0])


def test_the_ranking_loss_is_torch_s_over_all_ordered_pairs():
    answer = torch.randn(20)
    score = torch.randn(20).round(decimals=1)  # with a few ties
    first, second = torch.triu_indices(20, 20, 1)
    sign = (score[first] - score[second]).sign()
    pairs = margin_ranking_loss(answer[first], answer[second], sign, margin=0.3, reduction="none")
    assert (sign == 0).any()
    torch.testing.assert_close(ranking_loss(answer, score, 0.3), pairs[sign != 0].mean())


def test_the_ranking_loss_by_hand():
    answer = torch.tensor([1.0, 0.5, 0.8, 2.0])
    # 70>50: 0.1 − 0.5, and 0.1 + 1.0; 90>70: 0.1 + 0.2; 90>50: 0.1 − 0.3, and 0.1 + 1.2
    assert float(ranking_loss(answer, SCORE, 0.1)) == pytest.approx((0 + 1.1 + 0.3 + 0 + 1.3) / 5)


def test_in_the_right_order_beyond_the_margin_it_is_zero():
    assert ranking_loss(torch.tensor([0.3, 0.0, 0.6, 0.05]), SCORE, 0.2) == 0
    assert ranking_loss(torch.tensor([0.3, 0.0, 0.4, 0.05]), SCORE, 0.2) > 0
    assert ranking_loss(torch.randn(3), torch.full((3,), 50.0), 0.2) == 0


@pytest.mark.parametrize("segments", [1, 3, 9])
def test_segments_are_those_of_adaptive_pooling(segments):
    videos = batch(videos=8)
    means = segment_means(videos.features, videos.clips, segments)
    for row, (features, clips) in enumerate(zip(videos.features, videos.clips, strict=True)):
        torch.testing.assert_close(means[row], adaptive_avg_pool1d(features[clips].T, segments).T)


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 9 * (12 * 256 + 256) + 9 * 256 + 1),
        ({"shared": True, "segments": 4}, 12 * 256 + 256 + 4 * 256 + 1),
        ({"fusion": "average", "units": 8}, 9 * (12 * 8 + 8) + 8 + 1),
    ],
)
def test_parameters(options, count):
    method = end_to_end_ranking.build(FEATURES, LABELS, **options)
    assert sum(p.numel() for p in method.parameters()) == count
    assert method.predict(batch()).mean.shape == (24,)


def test_every_segment_has_a_layer_of_its_own_unless_they_share_one():
    videos = batch(videos=4)
    turned = videos.features.flip(1)
    whole = torch.ones_like(videos.clips)

    def changes(**options):
        method = end_to_end_ranking.build(FEATURES, LABELS, segments=5, fusion="average", **options)
        said = [method.trunk[0](videos.replace(streams={"test": Stream(f, whole)})) for f in (videos.features, turned)]
        return not torch.allclose(*said, atol=1e-5)

    assert changes()
    assert not changes(shared=True)


def test_the_weights_and_units_of_its_losses():
    videos = batch(unlabelled=4)
    method = end_to_end_ranking.build(FEATURES, LABELS, mse_weight=2.0, ranking_weight=0.5, margin=0.3)
    answer, score = method.predict(videos).mean[:20] / 30, videos.score[:20] / 30  # a quarter of 120 points
    terms = method.losses(videos)
    torch.testing.assert_close(terms["squared_error"], 2 * (answer - score).square().mean())
    torch.testing.assert_close(terms["ranking"], 0.5 * ranking_loss(answer, score, 0.3))


def test_a_sport_counted_in_tenths_has_the_same_losses():
    labels = LabelSpec(scale=ScoreScale(0, 1200))
    videos = batch()
    method, other = (end_to_end_ranking.build(FEATURES, x) for x in (LABELS, labels))
    learnt = {name: value for name, value in method.state_dict().items() if "units" not in name}
    other.load_state_dict(learnt)
    torch.testing.assert_close(other.losses(videos.replace(score=videos.score * 10)), method.losses(videos))


def test_without_a_label_or_a_pair_there_is_nothing_to_rank():
    method = end_to_end_ranking.build(FeatureSpec({"test": (12,)}), LABELS, units=4)
    none = method.losses(batch().unlabelled())
    torch.stack(list(none.values())).sum().backward()
    assert none["ranking"] == none["squared_error"] == 0
    single = method.losses(batch().select(torch.tensor([0])))
    assert single["ranking"] == 0
    assert single["squared_error"] > 0
