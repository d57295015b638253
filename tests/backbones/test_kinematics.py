"""Measures of motion against closed forms, SciPy and the real recordings."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.signal import periodogram
from scipy.spatial.transform import Rotation
from scipy.stats import pearsonr, spearmanr
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from aqakit.backbones import kinematics
from aqakit.backbones.kinematics import (
    JIGSAWS,
    Trajectory,
    invariants,
    movements,
    statistics,
)
from aqakit.backbones.parts.motion import smoothness, spectral_spread
from aqakit.backbones.parts.tables import exercise
from aqakit.errors import DataError, OptionError
from aqakit.types import Sample, Segment

RATE = 30.0
POINT = (Trajectory("point", slice(0, 3)),)


def wander(seed: int, length: int = 300) -> np.ndarray:
    """A smooth random path (1, T, 3)."""
    steps = np.random.default_rng(seed).normal(size=(length, 3)).cumsum(0)
    return (steps.cumsum(0) / length)[None]


def jigsaws(seed: int, length: int = 300) -> np.ndarray:
    """A recording (1, T, 76) with proper rotations."""
    x = np.random.default_rng(seed).normal(size=(length, 76)).cumsum(0)
    for tool in JIGSAWS:
        x[:, tool.position] = wander(tool.gripper, length)[0]
        x[:, tool.rotation] = Rotation.from_rotvec(wander(seed, length)[0]).as_matrix().reshape(length, 9)
    return x[None]


def test_a_straight_even_motion() -> None:
    t = np.arange(91) / RATE
    line = (t[:, None] * [0.3, 0.0, 0.4])[None]  # 0.5 m/s for 3 s
    found = invariants(line, POINT, RATE)
    assert found["point.path"] == pytest.approx(np.sqrt(1.5))
    assert found["point.slow"] == pytest.approx(np.sqrt(0.5))
    assert found["point.fast"] == pytest.approx(np.sqrt(0.5))
    assert found["point.volume"] == pytest.approx(np.sqrt(1.5 / 90 * 91 / np.sqrt(12)), rel=1e-3)
    assert found["duration"] == pytest.approx(np.sqrt(91 / RATE))
    for none in ("unevenness", "jerk", "smoothness", "idle"):
        assert found[f"point.{none}"] == pytest.approx(0, abs=1e-4), none


def test_jerk_of_a_cubic() -> None:
    t = np.arange(60) / RATE
    path = np.stack([t**3, 0 * t, 0 * t], -1)[None]  # the third derivative is 6
    assert invariants(path, POINT, RATE)["point.jerk"] == pytest.approx(np.sqrt(6))


def test_smoothness_of_the_minimum_jerk_profile() -> None:
    # v = 30 A/D (s² − 2 s³ + s⁴) has the peak 1.875 A/D and ∫ v̈² dt = 720 A²/D⁵
    s = np.linspace(0, 1, 3001)
    speed = 30 * (s**2 - 2 * s**3 + s**4)[None]
    assert smoothness(speed, 3000)[0] == pytest.approx(-np.log1p(720 / 1.875**2), rel=1e-3)


def test_smoothness_does_not_depend_on_units_or_tempo() -> None:
    speed = np.abs(wander(1)[..., 0])
    assert smoothness(1000 * speed, RATE) == pytest.approx(smoothness(speed, RATE))
    assert smoothness(speed, 2 * RATE) == pytest.approx(smoothness(speed, RATE))


def test_spectral_spread_is_that_of_the_periodogram() -> None:
    speed = np.abs(wander(2)[..., 0])
    f, power = periodogram(speed[0], RATE, detrend="constant")
    power[-1] *= 2  # one-sided: all but the last were doubled
    mean = np.average(f, weights=power)
    expected = np.sqrt(np.average((f - mean) ** 2, weights=power))
    assert spectral_spread(speed, RATE)[0] == pytest.approx(expected)


def test_turning_is_the_angular_speed() -> None:
    t = np.arange(120) / RATE
    turned = Rotation.from_rotvec(t[:, None] * [0.0, 1.2, 0.0]).as_matrix().reshape(1, -1, 9)
    x = np.concatenate([np.zeros((1, 120, 3)), turned], -1)
    found = invariants(x, (Trajectory("tool", slice(0, 3), slice(3, 12)),), RATE)
    assert found["tool.turning"] == pytest.approx(np.sqrt(1.2))


def test_grip_and_rest() -> None:
    # opens by 0.5 in 10 of 40 steps and rests in the others
    gripper = np.concatenate([np.linspace(0, 0.5, 11), np.full(30, 0.5)])
    x = np.concatenate([np.zeros((41, 3)), gripper[:, None]], -1)[None]
    found = invariants(x, (Trajectory("tool", slice(0, 3), gripper=3),), RATE)
    assert found["tool.gripping"] == pytest.approx(np.sqrt(0.5))
    assert found["tool.gripper idle"] == pytest.approx(0.75)
    assert found["tool.idle"] == 1


def test_how_two_hands_go_together() -> None:
    left, right = wander(3), 2 * wander(4)
    hands = (Trajectory("left", slice(0, 3)), Trajectory("right", slice(3, 6)))
    found = invariants(np.concatenate([left, right], -1), hands, RATE)
    speeds = [np.linalg.norm(np.diff(x[0], axis=0), axis=1) for x in (left, right)]
    a, b = (speed.mean() for speed in speeds)
    assert found["correlation"] == pytest.approx(pearsonr(*speeds).statistic)
    assert found["balance"] == pytest.approx((a - b) / (a + b))


def reaches(count: int, seconds: float = 10.0) -> np.ndarray:
    """(T,) how far one has gone by so many even minimum-jerk reaches of 1, each of which ends at rest."""
    s = np.linspace(0, count, round(RATE * seconds))
    begun, part = np.minimum(s.astype(int), count - 1), s - np.minimum(s.astype(int), count - 1)
    return begun + 10 * part**3 - 15 * part**4 + 6 * part**5


@pytest.mark.parametrize("count", [1, 4, 9])
def test_every_reach_is_a_movement_and_noise_is_none(count: int) -> None:
    noise = 1e-4 * np.random.default_rng(0).normal(size=(1, 300, 3))
    x = (reaches(count)[:, None] * [0.6, 0.0, 0.8])[None] + noise
    found = movements(x, POINT, RATE)
    assert found["point.movements"] == pytest.approx(np.sqrt(count))
    assert found["point.movement rate"] == pytest.approx(count / 10)


def test_turns_are_counted_as_reaches_are() -> None:
    turned = Rotation.from_rotvec(0.5 * reaches(6)[:, None] * [0.0, 1.0, 0.0]).as_matrix().reshape(1, -1, 9)
    x = np.concatenate([np.zeros((1, 300, 3)), turned], -1)
    found = movements(x, (Trajectory("tool", slice(0, 3), slice(3, 12)),), RATE)
    assert found["tool.turns"] == pytest.approx(np.sqrt(6))
    assert found["tool.movements"] == 0


def test_how_far_two_hands_are_apart() -> None:
    hands = (Trajectory("left", slice(0, 3)), Trajectory("right", slice(3, 6)))
    found = movements(np.array([[[0.0, 0, 0, 3, 4, 0], [1.0, 1, 1, 1, 1, 2]]]), hands, RATE)  # 5 and 1 apart
    assert found["apart"] == pytest.approx(np.sqrt(3))
    assert found["apart spread"] == pytest.approx(np.sqrt(2))


def test_place_direction_and_units_do_not_matter() -> None:
    x = jigsaws(0)
    moved = x.copy()
    turn = Rotation.from_euler("xyz", [0.3, -1.0, 2.0]).as_matrix()
    for tool in JIGSAWS:
        moved[..., tool.position] = 1000 * (x[..., tool.position] @ turn.T) + 7
    before, after = (invariants(y, JIGSAWS, RATE) | movements(y, JIGSAWS, RATE) for y in (x, moved))
    scaled = {"path", "slow", "fast", "jerk", "volume", "apart", "apart spread"}
    for name, value in before.items():
        factor = np.sqrt(1000) if name.split(".")[-1] in scaled else 1
        assert after[name] == pytest.approx(factor * value, rel=1e-6), name


def test_statistics_by_hand() -> None:
    found = statistics(np.array([[[0.0], [1.0], [4.0], [9.0]]]))
    assert {name: value.item() for name, value in found.items()} == pytest.approx(
        {"mean.0": 3.5, "spread.0": np.sqrt(12.25), "velocity.0": 3, "acceleration.0": 2, "jerk.0": 0}
    )


@pytest.mark.parametrize("features", ["both", "movements"])
def test_no_motion_gives_finite_numbers(tmp_path: Path, features: str) -> None:
    path = tmp_path / "still.npy"
    np.save(path, np.ones((50, 76), np.float32))
    found = np.stack(list(kinematics.build(features=features).read(path)))
    assert np.isfinite(found).all()


@pytest.mark.parametrize("windows", [1, 5])
def test_windows_follow_one_another(tmp_path: Path, windows: int) -> None:
    path, signal = tmp_path / "a.npy", jigsaws(1)[0].astype(np.float32)
    np.save(path, signal)
    backbone = kinematics.build(windows=windows)
    found = np.stack(list(backbone.read(path)))
    assert found.shape == (windows, 28)
    for part, vector in zip(np.split(signal.astype(float), windows), found, strict=True):
        alone = invariants(part[None], JIGSAWS, RATE)
        assert tuple(alone) == backbone.names
        np.testing.assert_allclose(vector, np.concatenate(list(alone.values())), rtol=1e-5)
    assert torch.equal(backbone(torch.from_numpy(found)), torch.from_numpy(found))


def test_named_segments_are_windows_of_any_length(tmp_path: Path) -> None:
    path, signal = tmp_path / "a.npy", jigsaws(1)[0].astype(np.float32)
    np.save(path, signal)
    parts = (Segment("G1", 5, 64), Segment("G2", 65, 79), Segment("G3", 290, 299), Segment("G4", 299, 299))
    backbone = kinematics.build(plan="gestures").reader(Sample("a", {"signal": path}, segments=parts[:3]))
    found = np.stack(list(backbone.read(path)))
    for part, vector in zip(parts[:3], found, strict=True):
        alone = invariants(signal[None, part.first : part.last + 1].astype(float), JIGSAWS, RATE)
        np.testing.assert_allclose(vector, np.concatenate(list(alone.values())), rtol=1e-5)
    short = kinematics.build(plan="gestures").reader(Sample("a", {"signal": path}, segments=parts[3:]))
    alone = invariants(signal[None, 296:].astype(float), JIGSAWS, RATE)  # the last four rows
    np.testing.assert_allclose(next(short.read(path)), np.concatenate(list(alone.values())), rtol=1e-5)
    cut = np.stack(list(backbone.read(path, (70, 295))))
    assert len(cut) == 2
    with pytest.raises(OptionError, match="leave out windows=3"):
        kinematics.build(plan="gestures", windows=3)
    with pytest.raises(DataError, match="a: the clip plan takes one clip for each named segment"):
        kinematics.build(plan="gestures").reader(Sample("a", {"signal": path}))


def test_any_clip_plan_divides_a_signal(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, jigsaws(1)[0].astype(np.float32))
    equal = np.stack(list(kinematics.build(windows=5).read(path)))
    assert np.array_equal(np.stack(list(kinematics.build(plan="sliding/frames=60/step=60").read(path))), equal)


def test_the_whole_stands_beside_each_window(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, jigsaws(1)[0].astype(np.float32))
    both, parts, whole = (
        np.stack(list(kinematics.build(**options).read(path))) for options in ({"whole": True}, {}, {"windows": 1})
    )
    assert np.array_equal(both, np.hstack([parts, whole.repeat(5, axis=0)]))
    named = kinematics.build(whole=True)
    assert len(named.names) == named.shape[0] == both.shape[1]
    assert named.fingerprint() != kinematics.build().fingerprint()


def test_any_signal_can_be_measured(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32))
    assert next(kinematics.build(channels=6, features="statistics").read(path)).shape == (30,)
    assert kinematics.build(channels=6).layout == "channels"
    with pytest.raises(DataError, match=r"6 columns, .* channels=6"):
        list(kinematics.build().read(path))
    with pytest.raises(OptionError, match="76"):
        kinematics.build(channels=6, layout="jigsaws")


@pytest.mark.slow
@pytest.mark.parametrize(("task", "least"), [("Suturing", 0.71), ("Knot_Tying", 0.65)])
def test_ranks_real_trials(shared_data: Path, task: str, least: float) -> None:
    """A support vector machine on the published four folds; the README of the project tells what it reached."""
    root = shared_data / "jigsaws"
    items, folds = (pickle.loads((root / f"{name}.pkl").read_bytes()) for name in ("label", "splits"))
    backbone = kinematics.build()
    signals = {p.name.split(".")[0]: p for p in (root / task / "kinematics/AllGestures").glob("*.txt*")}
    x = {trial: np.mean(list(backbone.read(path)), axis=0) for trial, path in signals.items()}
    found = []
    for fold in folds[task]:
        test = [t for t in fold if t in x]
        train = [t for other in folds[task] if other is not fold for t in other if t in x]
        model = make_pipeline(StandardScaler(), SVR(C=10))
        model.fit([x[t] for t in train], [sum(items[t]) for t in train])
        found.append(spearmanr(model.predict([x[t] for t in test]), [sum(items[t]) for t in test]).statistic)
    assert np.mean(found) >= least


def test_levels_and_speeds_of_an_exercise() -> None:
    """A triangle wave of ten repetitions, from 20 to 80 in 2 s each way."""
    t = np.arange(1200) / RATE
    wave = 20 + 60 * np.abs((t / 2) % 2 - 1)
    found = exercise(np.stack([wave, np.full(1200, 7.0)], -1)[None], RATE)
    assert found["channel 0.mean"] == pytest.approx(50, abs=0.1)
    assert found["channel 0.quantile 25 %"] == pytest.approx(35, abs=0.1)
    assert found["channel 0.range"] == pytest.approx(54, abs=0.1)
    assert found["channel 0.spread"] == pytest.approx(60 / np.sqrt(12), abs=0.1)
    assert found["channel 0.mean speed"] == pytest.approx(30, rel=0.03)  # rounded corners
    assert found["channel 1.quantile 95 %"] == 7
    assert found["channel 1.unevenness"] == 0


@pytest.mark.parametrize("features", ["invariants", "movements", "statistics", "both", "exercise"])
@pytest.mark.parametrize("channels", [76, 4])
def test_every_number_has_a_unit_and_a_group(features: str, channels: int) -> None:
    backbone = kinematics.build(features=features, channels=channels, whole=True)
    assert tuple(m.name for m in backbone.measures) == backbone.names
    assert all(m.group and m.more and m.statistic for m in backbone.measures)
    assert len(set(backbone.names)) == len(backbone.names)


def test_numbers_and_fingerprint_stay_what_they_were() -> None:
    """Caches of older versions stay valid."""
    wanted = {"version": 1, "windows": 5, "features": "invariants", "layout": "jigsaws", "channels": 76, "rate": 30.0}
    assert kinematics.build().fingerprint() == wanted
    assert kinematics.build().names[:3] == ("left.path", "left.slow", "left.fast")
