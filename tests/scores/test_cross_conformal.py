"""Cross-conformal intervals: by hand, by simulation, and as files."""

import json
import math

import numpy as np
import pytest
import torch

from aqakit.errors import DataError
from aqakit.scores.cross_conformal import CrossConformal
from aqakit.scores.distributions import Binned, Normal, Point


def test_the_interval_is_that_of_cv_plus_written_out() -> None:
    """Barber et al. 2021, eq. 11: order statistics of μ₋ₖ(x) ± residual; here signed, so of μ₋ₖ(x) + residual."""
    random = np.random.default_rng(0)
    n, members = 39, 3
    member = random.integers(0, members, n)
    answer, score = random.normal(size=n), random.normal(size=n)
    fitted = CrossConformal.fit(Point(torch.tensor(answer)), torch.tensor(score), member.tolist())
    new = [Point(torch.tensor([float(k), 10.0 + k], dtype=torch.float64)) for k in range(members)]
    low, high = fitted.apply(new).interval(0.9)
    for row in range(2):
        centres = np.array([float(one.mean[row]) for one in new])
        scores = np.sort(centres[member] + score - answer)
        assert float(low[row]) == pytest.approx(scores[math.floor(40 * 0.05) - 1])
        assert float(high[row]) == pytest.approx(scores[math.ceil(40 * 0.95) - 1])


def test_distances_are_in_units_of_the_stated_spread() -> None:
    held_out = Normal(torch.zeros(60), torch.full((60,), 0.5))
    fitted = CrossConformal.fit(held_out, torch.linspace(-1, 1, 60), [0] * 60)
    narrow, wide = (fitted.apply([Normal(torch.zeros(1), torch.tensor([s]))]) for s in (1.0, 3.0))
    assert float(wide.interval(0.9)[1]) == pytest.approx(3 * float(narrow.interval(0.9)[1]))


@pytest.mark.parametrize("base", ["conformal", "absolute", "isotonic"])
def test_stored_and_read_it_answers_the_same(base) -> None:
    edges = torch.linspace(0, 10, 12)
    held_out = Binned(torch.randn(30, 11, generator=torch.Generator().manual_seed(1)), edges)
    fitted = CrossConformal.fit(held_out, torch.linspace(0.5, 9.5, 30), [i % 5 for i in range(30)], base)
    again = CrossConformal.from_json(json.loads(json.dumps(fitted.to_json())))
    members = [Binned(torch.randn(4, 11), edges) for _ in range(5)]
    assert again == fitted
    assert torch.equal(again.apply(members).values, fitted.apply(members).values)
    assert bool((fitted.apply(members).values.diff() >= 0).all())


def test_few_samples_are_refused_or_wide() -> None:
    with pytest.raises(DataError, match="at least two"):
        CrossConformal.fit(Point(torch.zeros(3)), torch.tensor([1.0, math.nan, math.nan]), [0, 1, 2])
    two = CrossConformal.fit(Point(torch.zeros(2)), torch.tensor([-1.0, 1.0]), [0, 1])
    low, high = two.apply([Point(torch.zeros(1)), Point(torch.zeros(1))]).interval(0.9)
    assert float(low) < -1
    assert float(high) > 1


def _line(x: np.ndarray, y: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Predictions of least squares through x (n, d)."""
    design = np.column_stack([np.ones(len(x)), x])
    found, *_ = np.linalg.lstsq(design, y, rcond=None)
    return np.column_stack([np.ones(len(new)), new]) @ found


NOISE = {
    "normal": lambda random, n: random.normal(size=n),
    "t3": lambda random, n: random.standard_t(3, size=n),
    "skewed": lambda random, n: random.exponential(size=n) - 1,
}


def _held(random: np.random.Generator, noise: str, n: int, grouped: bool) -> float:
    """Share of 40 new scores in their 90 % intervals, of five members on n samples; groups are of 4 samples."""

    def draw(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        group = np.repeat(np.arange(-(-count // 4)), 4)[:count] if grouped else np.arange(count)
        x = random.normal(size=(count, 2))
        shared = random.normal(size=group.max() + 1)[group] if grouped else 0.0
        return x, x @ [1.0, 2.0] + shared + NOISE[noise](random, count), group

    x, y, group = draw(n)
    names = random.permutation(group.max() + 1)
    part = np.empty(n, dtype=int)
    for k, own in enumerate(np.array_split(names, 5)):
        part[np.isin(group, own)] = k
    new, true, _ = draw(40)
    answers, held_out = [], np.empty(n)
    for k in range(5):
        train, out = part != k, part == k
        answers.append(Point(torch.from_numpy(_line(x[train], y[train], new))))
        held_out[out] = _line(x[train], y[train], x[out])
    groups = len(names) if grouped else None
    fitted = CrossConformal.fit(Point(torch.from_numpy(held_out)), torch.from_numpy(y), part.tolist(), groups=groups)
    low, high = fitted.apply(answers).interval(0.9)
    return float(np.mean((low.numpy() <= true) & (true <= high.numpy())))


@pytest.mark.parametrize("grouped", [False, True], ids=["single", "grouped"])
@pytest.mark.parametrize("n", [pytest.param(20, marks=pytest.mark.slow), 40, pytest.param(100, marks=pytest.mark.slow)])
@pytest.mark.parametrize("noise", NOISE)
def test_90_percent_intervals_hold_88_to_93_percent(noise, n, grouped) -> None:
    random = np.random.default_rng(n)
    held = np.mean([_held(random, noise, n, grouped) for _ in range(150)])
    assert 0.875 <= held <= 0.935, held
