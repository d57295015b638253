"""Two recordings of which the difference is known."""

from pathlib import Path

import numpy as np
import pytest

from aqakit.errors import DataError
from aqakit.explanation import comparison
from aqakit.types import Floats


def table(file: Path, values: Floats) -> Path:
    np.savetxt(file, values, delimiter=",")
    return file


def wave(moments: Floats) -> Floats:
    return np.stack([np.sin(2 * np.pi * moments), np.cos(2 * np.pi * moments)], axis=1)


def test_warping_is_optimal_on_all_paths_of_a_small_case() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(5, 2)), rng.normal(size=(4, 2))

    def paths(i: int, j: int) -> list[list[tuple[int, int]]]:
        if (i, j) == (4, 3):
            return [[(4, 3)]]
        ahead = [(i + 1, j + 1), (i + 1, j), (i, j + 1)]
        return [[(i, j), *rest] for p, q in ahead if p < 5 and q < 4 for rest in paths(p, q)]

    def cost(pairs: list[tuple[int, int]]) -> float:
        return sum(float(np.linalg.norm(a[i] - b[j])) for i, j in pairs)

    found = [(int(i), int(j)) for i, j in comparison.warp(a, b)]
    assert cost(found) == pytest.approx(min(map(cost, paths(0, 0))))


def test_a_slower_recording_of_the_same_movement_does_not_differ(tmp_path: Path) -> None:
    fast = table(tmp_path / "fast.csv", wave(np.linspace(0, 1, 61)))
    slow = table(tmp_path / "slow.csv", wave(np.linspace(0, 1, 121)))
    found = comparison.compare(fast, slow, rate=30)
    assert max(one.mean for one in found.differences) < 0.03
    assert found.notes[-1] == "The first lasts 2.03 s; the second is 2.00 s longer."
    ends = found.to_json()["pairs"]
    assert ends[0] == [0, 0]
    assert ends[-1] == pytest.approx([2, 4])


def test_the_column_and_the_moment_of_a_difference_are_named(tmp_path: Path) -> None:
    time = np.linspace(0, 1, 91)
    plain, other = wave(time), wave(time)
    other[:, 1] += 0.5 * np.exp(-(((time - 0.6) / 0.03) ** 2))
    found = comparison.compare(table(tmp_path / "a.csv", plain), table(tmp_path / "b.csv", other), rate=30)
    first = found.differences[0]
    assert first.channel == "column 2"
    assert first.at_a == pytest.approx(0.6 * 3, abs=0.2)
    assert first.largest > 0.25
    assert first.b - first.a == pytest.approx(first.largest)


def test_exchanged_recordings_have_the_opposite_difference(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    a, b = (table(tmp_path / name, rng.normal(size=(12, 3)).cumsum(0)) for name in ("a.csv", "b.csv"))
    there = {one.channel: one for one in comparison.compare(a, b, rate=30).differences}
    back = {one.channel: one for one in comparison.compare(b, a, rate=30).differences}
    assert {name: -one.largest for name, one in back.items()} == pytest.approx(
        {name: one.largest for name, one in there.items()}
    )


def test_different_columns_are_refused(tmp_path: Path) -> None:
    a, b = table(tmp_path / "a.csv", np.ones((9, 3))), table(tmp_path / "b.csv", np.ones((9, 4)))
    with pytest.raises(DataError, match=r"the first has 3 channels .*, the second 4"):
        comparison.compare(a, b)
