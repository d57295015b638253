"""Steps: resampling and pooling beside PyTorch's, transitions beside all ways to place them, and the AIoU."""

import math
from itertools import combinations, pairwise

import pytest
import torch
from torch.nn import functional as F

from aqakit.errors import OptionError
from aqakit.methods import tsa
from aqakit.methods.parts.procedure import pool_steps, resample, transition_loss, transitions
from aqakit.metrics import description
from aqakit.types import Description, LabelSpec, ScoreScale, Stream
from tests.synthetic import FEATURES, LABELS, WIDTH, batch

SMALL = {"moments": 16, "layers": 1}


def grown(train=None, **options):
    torch.manual_seed(0)
    method = tsa.build(FEATURES, LABELS, **SMALL, **options)
    method.remember(batch() if train is None else train)
    return method.eval()


def test_videos_are_resampled_as_pytorch_interpolates():
    data = batch(videos=8)
    found = resample(data.features, data.clips, 11)
    for row, count in enumerate(data.clips.sum(1).tolist()):
        wanted = F.interpolate(data.features[row, :count].T[None], 11, mode="linear", align_corners=False)
        torch.testing.assert_close(found[row], wanted[0].T)


def test_steps_are_pooled_as_pytorch_pools():
    moments = torch.randn(2, 40, 3)
    found = pool_steps(moments, torch.tensor([[0.25, 0.5], [0.125, 0.875]]), 5)
    for row, cuts in enumerate(([0, 10, 20, 40], [0, 5, 35, 40])):
        for step, (low, high) in enumerate(pairwise(cuts)):
            wanted = F.adaptive_avg_pool1d(moments[row, low:high].T[None], 5)[0].T
            torch.testing.assert_close(found[row, step], wanted)


@pytest.mark.parametrize("cut", [[0.0, 0.0], [1.0, 1.0], [0.5, 0.5], [0.0, 1.0]])
def test_an_empty_step_is_one_moment_long(cut):
    moments = torch.randn(1, 8, 3)
    found = pool_steps(moments, torch.tensor([cut]), 5)
    assert found.isfinite().all()
    assert (found <= moments.amax(1)[:, None, None] + 1e-6).all()


def test_transitions_are_the_best_of_all_ways_to_place_them():
    maps = torch.randn(20, 9, 3)
    found = transitions(maps, "ordered").tolist()
    for row, said in enumerate(found):
        worth = {way: float(sum(maps[row, t, i] for i, t in enumerate(way))) for way in combinations(range(9), 3)}
        assert tuple(said) == max(worth, key=worth.get)


def test_each_transition_may_be_sought_in_its_own_share():
    maps = torch.randn(20, 12, 2)
    wanted = torch.stack([maps[:, :6, 0].argmax(1), 6 + maps[:, 6:, 1].argmax(1)], 1)
    assert torch.equal(transitions(maps, "share"), wanted)


def test_the_loss_of_transitions_is_the_cross_entropy_of_one_moment_in_each_map():
    maps, cuts = torch.randn(3, 10, 2), torch.tensor([[0.31, 0.8], [0.0, 0.99], [0.5, 1.0]])
    target = torch.zeros(3, 10, 2)
    for row, moments in enumerate([(3, 8), (0, 9), (5, 9)]):
        for i, moment in enumerate(moments):
            target[row, moment, i] = 1
    wanted = F.binary_cross_entropy(maps.sigmoid(), target, reduction="none").mean((1, 2))
    torch.testing.assert_close(transition_loss(maps, cuts), wanted)


def test_the_difference_changes_its_sign_with_the_order_and_is_zero_for_a_video_itself():
    method = grown()
    one, other = torch.randn(2, 6, 3, 5, 64)
    torch.testing.assert_close(method.compare(one, other), -method.compare(other, one))
    assert torch.equal(method.compare(one, one), torch.zeros(6))


def test_a_video_compared_with_itself_has_its_score():
    train = batch()
    method = grown(match="nearest", voters=1, answer="votes")
    torch.testing.assert_close(method.predict(train).mean, train.score)


def test_true_boundaries_are_used_in_the_first_epochs_only():
    train = batch()
    method = grown(true_epochs=3)
    moved = train.replace(boundaries=train.boundaries - 0.2)
    method.remember(train)

    def difference(data, epoch):
        method.epoch = epoch
        torch.manual_seed(1)
        return float(method.losses(data)["difference"].detach())

    assert difference(train, 2) != difference(moved, 2)
    assert difference(train, 3) == difference(moved, 3)
    unknown = train.replace(boundaries=torch.full((24, 2), math.nan))
    method.remember(unknown)
    assert difference(unknown, 0) == difference(unknown, 9)
    assert method.losses(unknown)["transitions"] == 0


def test_boundaries_are_learnt():
    """Phases that differ in one channel are found in new videos."""

    def phased(seed):
        data = batch(videos=32, clips=12, seed=seed)
        generator = torch.Generator().manual_seed(seed)
        cuts = torch.tensor([0.2, 0.6]) + 0.25 * torch.rand(32, 2, generator=generator)
        time = (torch.arange(12) + 0.5) / 12
        phase = (time[None, :, None] > cuts[:, None]).sum(2, keepdim=True)
        features = 0.3 * data.features + 2 * (phase == torch.arange(WIDTH))
        stream = Stream(features, torch.ones(32, 12, dtype=torch.bool))
        return data.replace(streams={"test": stream}, boundaries=cuts)

    method, test = grown(phased(0)), phased(1)
    optimizer = torch.optim.Adam(method.parameters(), lr=5e-3)
    for _ in range(25):
        optimizer.zero_grad()
        torch.stack(list(method.losses(phased(0)).values())).sum().backward()
        optimizer.step()
    said = method.describe(test)
    assert (said.boundaries.diff() > 0).all()
    assert description.evaluate(said, test, LABELS)["aiou_0.75"] > 0.7


def test_one_clip_one_video_and_one_exemplar_are_enough():
    lone = batch(videos=1, clips=2)
    stream = next(iter(lone.streams.values()))
    lone = lone.replace(streams={"test": Stream(stream.features[:, :1], stream.clips[:, :1])})
    method = grown(lone)
    assert all(term.isfinite() for term in method.losses(lone).values())
    torch.testing.assert_close(method.predict(lone).mean, lone.score)
    assert method.describe(lone).boundaries.shape == (1, 2)


def test_without_boundaries_there_are_no_steps_to_compare():
    with pytest.raises(OptionError, match="needs a data set whose samples all have the same number of boundaries"):
        tsa.build(FEATURES, LabelSpec(ScoreScale(0, 10)))
    with pytest.raises(OptionError, match="9 boundaries need more than 8 moments"):
        tsa.build(FEATURES, LabelSpec(ScoreScale(0, 10), boundaries=9), moments=8)


def test_aiou_is_the_share_of_videos_whose_steps_overlap_enough():
    truth = batch(videos=4).replace(boundaries=torch.tensor([[0.2, 0.6], [0.2, 0.6], [0.2, 0.6], [math.nan, math.nan]]))
    said = Description(boundaries=torch.tensor([[0.2, 0.6], [0.4, 0.8], [0.2, 0.45], [0.1, 0.2]]))
    # intersections ÷ unions: 1, 0.2 / 0.6, 0.25 / 0.4; the fourth is unknown
    row = description.evaluate(said, truth, LABELS)
    assert row == {"aiou_0.5": pytest.approx(2 / 3), "aiou_0.75": pytest.approx(1 / 3)}
    one = description.overlaps(torch.tensor([[0.5]]), torch.tensor([[0.25]]))
    assert one.tolist() == pytest.approx([(0.25 / 0.5 + 0.5 / 0.75) / 2])
