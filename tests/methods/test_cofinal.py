"""CoFInAl: the frame beside its closed form, and scores that level and step rebuild."""

import pytest
import torch
from torch.nn import functional as F

from aqakit.errors import OptionError
from aqakit.methods import cofinal
from aqakit.types import ScoreScale
from tests.synthetic import FEATURES, LABELS, batch


def grown(**options):
    torch.manual_seed(0)
    return cofinal.build(FEATURES, LABELS, width=16, **options)


@pytest.mark.parametrize("count", [2, 3, 100])
def test_the_frame_has_the_gram_matrix_of_a_simplex(count):
    frame = cofinal.simplex_frame(count)
    wanted = torch.eye(count) * count / (count - 1) - 1 / (count - 1)
    torch.testing.assert_close(frame.T @ frame, wanted, atol=1e-6, rtol=0)
    torch.testing.assert_close(frame.sum(1), torch.zeros(count), atol=1e-5, rtol=0)
    assert torch.equal(frame, cofinal.simplex_frame(count))


def test_three_directions_of_a_plane_are_120_degrees_apart():
    frame = cofinal.simplex_frame(3)
    assert torch.linalg.matrix_rank(frame, atol=1e-6) == 2
    assert torch.rad2deg((frame[:, 0] @ frame[:, 1]).acos()).item() == pytest.approx(120, abs=1e-3)


@pytest.mark.parametrize(("low", "high", "levels", "steps"), [(0, 120, 100, 100), (-3, 25, 100, 100), (0, 10, 7, 9)])
def test_level_and_step_rebuild_every_score_of_the_scale(low, high, levels, steps):
    scale = cofinal.Scale(ScoreScale(low, high), levels, steps)
    count = levels * steps
    scores = low + (high - low) * torch.arange(count) / count
    level, step = scale.divide(scores)
    assert (level * steps + step).tolist() == list(range(count))
    torch.testing.assert_close(scale(level / levels, step), scores)


def test_scores_between_the_steps_move_by_half_a_step_at_most():
    scale = cofinal.Scale(ScoreScale(0, 120), 100, 100)
    scores = 120 * torch.rand(500, generator=torch.Generator().manual_seed(0))
    level, step = scale.divide(scores)
    assert (scale(level / 100, step) - scores).abs().max() <= 120 / 20_000 + 1e-4
    ends = scale(*(part / over for part, over in zip(scale.divide(torch.tensor([0.0, 120.0])), (100, 1), strict=True)))
    assert ends.tolist() == pytest.approx([0, 120 - 120 / 10_000])


def test_readers_that_say_level_and_step_give_the_score_and_no_loss():
    method, train = grown(), batch()
    score = 120 * torch.arange(24) / 1000 + 60.012
    level, step = method.scale.divide(score)
    method._read = lambda seen: (level / 100, 1 - level / 100, method.frame.T[step])
    torch.testing.assert_close(method.predict(train).mean, score)
    terms = method.losses(train.replace(score=score))
    assert {name: round(float(term.detach()), 6) for name, term in terms.items() if name != "triplet"} == {
        "level": 0,
        "missing": 0,
        "step": 0,
    }


def test_the_two_readers_see_the_scale_from_both_ends():
    method = grown()
    with torch.no_grad():
        method.missing.weight.copy_(method.level.weight)
        method.missing.bias.copy_(method.level.bias)
    share, missing, vector = method._read(torch.randn(5, 4, 16))
    torch.testing.assert_close(share + missing, torch.ones(5))
    torch.testing.assert_close(vector.norm(dim=1), torch.ones(5))


def test_the_nearest_step_is_that_of_the_smallest_distance():
    method = grown()
    vector = F.normalize(torch.randn(30, 100, generator=torch.Generator().manual_seed(0)), dim=1)
    found = method._answer(torch.zeros(30), torch.ones(30), vector).mean * 10_000 / 120
    nearest = torch.cdist(vector, method.frame.T).argmin(1)
    assert found.round().tolist() == nearest.tolist()


def test_signed_values_are_for_four_grades():
    assert grown(values="signed").values.tolist() == pytest.approx([-1, -0.8, 0.8, 1])
    with pytest.raises(OptionError, match="values=signed is for 4 grades, not 5"):
        grown(values="signed", grades=5)
    with pytest.raises(OptionError, match="3 heads do not divide a width of 16"):
        grown(heads=3)
