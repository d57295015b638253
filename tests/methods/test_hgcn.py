"""HGCN: scenes whose normals add, beside draws of them; what each graph may and may not see."""

import numpy as np
import pytest
import torch

from aqakit.errors import OptionError
from aqakit.methods import hgcn
from aqakit.scores.distributions import Normal
from aqakit.types import FeatureSpec, Stream
from tests.synthetic import FEATURES, LABELS, batch

SMALL = {"width": 64, "groups": 8}


def grown(features=FEATURES, **options):
    torch.manual_seed(0)
    return hgcn.build(features, LABELS, **SMALL, **options).eval()


def test_the_score_is_distributed_as_the_sum_of_its_scenes():
    """As published: a draw of each scene, and seven times their mean."""
    method, data = grown(), batch(videos=3)
    scenes, answer = method.by_scene(data), method.predict(data)
    assert scenes.mean.shape == (3, 7)
    rng, (mean, std) = np.random.default_rng(0), (x.detach().numpy() for x in (scenes.mean, scenes.std))
    drawn = 7 * rng.normal(mean, std, (40_000, 3, 7)).mean(2)
    spread = answer.std.detach().numpy()
    assert np.abs(drawn.mean(0) - answer.mean.detach().numpy()).max() < 0.02 * spread.max()
    assert np.abs(drawn.std(0) / spread - 1).max() < 0.02
    torch.testing.assert_close(scenes.std.square().sum(1), answer.std.square())


@pytest.mark.parametrize("scenes", [1, 7, 32])
def test_scenes_begin_with_mean_and_spread_of_the_training_scores(scenes):
    method, train = grown(scenes=scenes), batch()
    method.start(train)
    with torch.no_grad():
        method.head.mean.weight.zero_()
        method.head.log_variance.weight.zero_()
    answer = method.predict(train)
    torch.testing.assert_close(answer.mean, train.score.mean().expand(24))
    torch.testing.assert_close(answer.std, train.score.std(correction=0).expand(24))


def test_the_likelihood_is_that_of_pytorch():
    method, train = grown(), batch()
    answer = method.predict(train)
    wanted = -torch.distributions.Normal(answer.mean, answer.std).log_prob(train.score).mean()
    constant = 0.5 * np.log(2 * np.pi)
    torch.testing.assert_close(method.losses(train)["likelihood"], wanted - constant)


def test_the_error_of_a_draw_is_on_average_squared_error_and_variance():
    method, train = grown(loss="sample"), batch(videos=2)
    answer, size = method.predict(train), method.head.units.size
    torch.manual_seed(0)
    drawn = method.losses(train.select(torch.arange(2).repeat(2000)))["sample"]
    wanted = ((answer.mean - train.score).square() + answer.std.square()).mean() / size**2
    torch.testing.assert_close(drawn, wanted, rtol=0.05, atol=0)


def test_a_scene_sees_itself_and_those_before_it():
    motion, scenes = grown().motion, torch.randn(2, 32, 7)
    before = motion(scenes)
    for k in range(7):
        after = motion(scenes + 3 * (torch.arange(7) == k))
        changed = (after != before).any(0).any(0).tolist()
        assert not any(changed[:k])
        assert changed[k]
    same = torch.randn(2, 32, 1).expand(-1, -1, 7)
    torch.testing.assert_close(motion(same), motion.mix(same))  # shares that sum to 1


def test_clips_that_do_not_differ_are_their_own_shots():
    shots, same = grown().shots, torch.randn(2, 32, 1).expand(-1, -1, 10)
    torch.testing.assert_close(shots(same), shots.mix(same))


def test_a_shot_is_of_a_clip_and_its_neighbours():
    shots, clips = grown().shots, torch.randn(1, 32, 10)
    changed = (shots(clips + 3 * (torch.arange(10) == 4)) != shots(clips)).any(0).any(0)
    assert changed.nonzero().flatten().tolist() == [3, 4, 5]


def test_channels_that_are_filled_up_are_zeros():
    wide = FeatureSpec({"test": (32,)})
    method, other, data = grown(), grown(wide), batch()
    stream = data.streams["test"]
    filled = Stream(torch.cat([stream.features, stream.features.new_zeros(24, 5, 20)], 2), stream.clips)
    assert torch.equal(method.predict(data).mean, other.predict(data.replace(streams={"test": filled})).mean)
    assert grown(FeatureSpec({"test": (33,)})).channels == 64


def test_one_clip_is_enough():
    lone = batch(videos=1, clips=2)
    stream = lone.streams["test"]
    answer = grown().predict(lone.replace(streams={"test": Stream(stream.features[:, :1], stream.clips[:, :1])}))
    assert isinstance(answer, Normal)
    assert answer.std.isfinite().all()


def test_groups_divide_an_eighth_of_the_width():
    with pytest.raises(OptionError, match="3 groups do not divide 64, an eighth of the width"):
        hgcn.build(FEATURES, LABELS, groups=3)
