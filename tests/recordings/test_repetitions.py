"""Repetitions in motion of which they are known: raised cosines between pauses, and real exercises joined."""

from pathlib import Path

import numpy as np
import pytest

from aqakit.errors import DataError
from aqakit.recordings import repetitions, skeletons
from aqakit.recordings.skeletons import LAYOUTS, Body
from aqakit.types import Floats

RATE = 30
UI_PRMD = Path(__file__).parents[3] / "shared" / "data" / "ui-prmd"


def bumps(lengths: list[int], pauses: list[int], height: float = 1.0) -> tuple[Floats, list[tuple[int, int]]]:
    """A channel (T,) that rises and falls once in every repetition, and where each begins and ends."""
    parts: list[Floats] = [np.zeros(pauses[0])]
    bounds = []
    for length, pause in zip(lengths, pauses[1:], strict=True):
        first = sum(map(len, parts))
        bounds.append((first, first + length - 1))
        parts += [height * (1 - np.cos(np.linspace(0, 2 * np.pi, length))) / 2, np.zeros(pause)]
    return np.concatenate(parts), bounds


def directions(rng: np.random.Generator, channel: Floats) -> Floats:
    """The channel in five others, of different size and sign, with some noise."""
    return channel[:, None] * [1.0, -0.5, 0.3, 0.8, -1.2] + 0.005 * rng.normal(size=(len(channel), 5))


@pytest.mark.parametrize("pauses", [[30, 20, 45, 60, 30], [0, 25, 25, 25, 0], [0, 0, 0, 0, 0]])
def test_known_repetitions_are_found_where_they_are(pauses: list[int]) -> None:
    channel, bounds = bumps([60, 75, 90, 66], pauses)
    found, away = repetitions.within(directions(np.random.default_rng(0), channel), RATE)
    assert len(found) == len(bounds)
    for (first, last), (begin, end) in zip(found, bounds, strict=True):
        assert abs(first - begin) <= 0.1 * (end - begin)
        assert abs(last - end) <= 0.1 * (end - begin)
    assert away.shape == channel.shape


def test_a_hold_at_the_bottom_does_not_make_two_repetitions() -> None:
    once = np.concatenate([np.linspace(0, 1, 30), np.ones(40), np.linspace(1, 0, 30), np.zeros(50)])
    found, _ = repetitions.within(directions(np.random.default_rng(1), np.tile(once, 4)), RATE)
    assert len(found) == 4


def test_the_posture_of_rest_may_be_anything_and_times_are_those_of_the_rate() -> None:
    channel, _ = bumps([60, 60, 60], [30, 30, 30, 30])
    postures = directions(np.random.default_rng(2), channel)
    there, _ = repetitions.within(postures, RATE)
    moved, _ = repetitions.within(100 - 3 * postures, RATE)
    assert there == moved
    twice, _ = repetitions.within(np.repeat(postures, 2, axis=0), 2 * RATE)
    assert np.abs(np.array(twice) / 2 - np.array(there)).max() <= 2


@pytest.mark.parametrize("kind", ["still", "ramp"])
def test_without_repetitions_nothing_is_found(kind: str) -> None:
    channel = np.zeros(200) if kind == "still" else np.linspace(0, 1, 200)
    assert repetitions.within(channel[:, None] * np.ones(3), RATE)[0] == []


def test_a_table_is_read_and_its_rate_assumed_aloud(tmp_path: Path) -> None:
    channel, bounds = bumps([60, 60], [30, 30, 30])
    file = tmp_path / "angles.csv"
    np.savetxt(file, directions(np.random.default_rng(3), channel), delimiter=",")
    found = repetitions.find(file)
    assert [row["repetition"] for row in found.rows()] == [1, 2]
    assert found.rows()[1]["start"] == pytest.approx(bounds[1][0] / 30, abs=0.2)
    assert "30 rows per second are assumed" in found.notes[0]
    assert repetitions.find(file, rate=60).rows()[1]["start"] == pytest.approx(bounds[1][0] / 60, abs=0.2)


def test_three_rows_are_too_few(tmp_path: Path) -> None:
    np.savetxt(tmp_path / "short.csv", np.ones((3, 4)), delimiter=",")
    with pytest.raises(DataError, match=r"short\.csv: 3 rows are too few"):
        repetitions.find(tmp_path / "short.csv")


def joined(movement: int, subject: int, rng: np.random.Generator) -> tuple[Body, list[tuple[int, int]]]:
    """Three to eight repetitions of one person, with pauses of half a second to two."""
    parts, bounds, at = [], [], 0
    for number in rng.permutation(np.arange(1, 11))[: rng.integers(3, 9)]:
        name = f"m{movement:02d}_s{subject:02d}_e{number:02d}_positions.txt.gz"
        joints = skeletons.read(UI_PRMD / "Segmented Movements" / "Kinect" / "Positions" / name).joints
        pause = np.repeat(joints[-1:], int(rng.integers(15, 60)), axis=0)
        bounds.append((at, at + len(joints) - 1))
        parts += [joints, pause]
        at += len(joints) + len(pause)
    whole = np.concatenate(parts)
    return Body(whole, LAYOUTS["kinect22"], np.ones(whole.shape[:2], bool), up="+y"), bounds


@pytest.mark.slow
def test_real_exercises_with_pauses_are_counted() -> None:
    """Settings were chosen on subjects 1 to 5."""
    if not UI_PRMD.is_dir():
        pytest.skip("needs UI-PRMD")
    rng = np.random.default_rng(7)
    counted, near = [], []
    for movement in range(1, 6):
        for subject in (6, 7, 8, 9, 10) * 2:
            body, bounds = joined(movement, subject, rng)
            found, _ = repetitions.within(repetitions.posture(body), RATE)
            counted.append(len(found) == len(bounds))
            if counted[-1]:
                length = np.diff(bounds)
                near += (np.abs(np.array(found) - bounds) <= 0.1 * length).ravel().tolist()
    assert np.mean(counted) >= 0.9
    assert np.mean(near) >= 0.85
    print(f"{np.mean(counted):.2f} of 50 counted exactly, {np.mean(near):.2f} of boundaries within a tenth")
