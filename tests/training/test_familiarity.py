"""The conformal test of being like the training videos, against NumPy and SciPy."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import mahalanobis

from aqakit.training.familiarity import SHRINKAGE, Familiarity, distance, familiar
from aqakit.training.summary import profile
from aqakit.types import Stream


def draw(count, seed, channels=6):
    return torch.randn(count, channels, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("channels", [6, 30])  # fewer and more than videos
def test_the_distance_is_that_of_scipy(channels):
    known, videos = draw(20, 0, channels), draw(5, 1, channels)
    z = ((known - known.mean(0)) / known.std(0, correction=0)).numpy()
    shrunk = (1 - SHRINKAGE) * np.corrcoef(z.T) + SHRINKAGE * np.eye(channels)
    query = ((videos - known.mean(0)) / known.std(0, correction=0)).numpy()
    wanted = [mahalanobis(one, np.zeros(channels), np.linalg.inv(shrunk)) / np.sqrt(channels) for one in query]
    np.testing.assert_allclose(distance(known, videos).numpy(), wanted, rtol=1e-9)


def test_constant_channels_do_not_count():
    known, videos = draw(20, 0), draw(5, 1)
    more = [torch.cat([t, torch.full((len(t), 1), float(k))], 1) for k, t in enumerate((known, videos))]
    torch.testing.assert_close(distance(*more), distance(known, videos))


def test_p_values_are_ranks_among_distances_to_the_same_videos():
    known, video = draw(9, 0), draw(1, 1)
    rest = [torch.arange(9) != k for k in range(9)]
    reached = sum(float(distance(known[r], known[~r])) >= float(distance(known[r], video)) for r in rest)
    p, _ = Familiarity(known).p_values(video)
    assert float(p) == pytest.approx((1 + reached) / 10)


def test_at_most_one_in_twelve_of_the_same_kind_is_unlike_and_all_of_another_kind():
    same = np.mean([familiar({"x": Familiarity(draw(60, k))}, {"x": draw(60, 100 + k)})[1] for k in range(20)])
    assert 0 < same < 0.08
    p, unlike = familiar({"x": Familiarity(draw(60, 0))}, {"x": draw(10, 1) + 6})
    assert all(unlike)
    assert p == pytest.approx([1 / 61] * 10)


def test_several_streams_are_corrected_for_and_few_videos_need_a_larger_distance():
    tests = {name: Familiarity(draw(39, k)) for k, name in enumerate("ab")}
    p, unlike = familiar(tests, {"a": draw(1, 8) + 9, "b": draw(1, 9)})
    assert p == pytest.approx([2 / 40])
    assert unlike == [True]
    few = {"a": Familiarity(draw(5, 0))}
    assert familiar(few, {"a": torch.cat([draw(1, 3), draw(1, 3) * 50])})[1] == [False, True]


def test_held_out_videos_stand_in_for_training_videos_that_training_drew_together():
    drawn, held, new = draw(40, 0) / 2, draw(79, 1), draw(400, 2)
    flagged = {how: np.mean(familiar({"x": test}, {"x": new})[1]) for how, test in (
        ("held", Familiarity(drawn, held=held)), ("own", Familiarity(drawn)))}  # fmt: skip
    assert flagged["own"] > 0.4
    assert flagged["held"] < 0.12
    far = (distance(drawn, held) >= distance(drawn, new[:1])).sum()
    assert float(Familiarity(drawn, held=held).p_values(new[:1])[0]) == pytest.approx(float((1 + far) / 80))


def test_p_values_of_the_same_kind_are_uniform():
    found = [Familiarity(draw(40, 0), held=draw(19, k)).p_values(draw(50, 1000 + k))[0] for k in range(1, 60)]
    shares = [float((torch.cat(found) <= level + 1e-6).double().mean()) for level in (0.05, 0.25, 0.5, 0.75)]
    assert shares == pytest.approx([0.05, 0.25, 0.5, 0.75], abs=0.05)


def test_the_finest_test_decides_at_which_p_value_a_video_is_unlike():
    tests = {"few": Familiarity(draw(20, 0), held=draw(4, 1)), "many": Familiarity(draw(59, 2))}
    p, unlike = familiar(tests, {"few": draw(2, 3) * 99, "many": torch.cat([draw(1, 4) * 0, draw(1, 5) + 9])})
    assert unlike == [False, True]
    assert p == pytest.approx([0.4, 2 / 60])


def test_groups_are_not_compared_with_themselves():
    twins = draw(8, 0).repeat_interleave(2, 0)
    group = [str(k // 2) for k in range(16)]
    alone, together = Familiarity(twins).own, Familiarity(twins, group).own
    assert (together > alone).all()


def test_a_profile_is_mean_first_and_last_clip_without_padding():
    clips = torch.tensor([[True, True, False]])
    features = torch.tensor([[[1.0], [3.0], [99.0]]])
    assert profile(Stream(features, clips)).tolist() == [[2.0, 1.0, 3.0]]
