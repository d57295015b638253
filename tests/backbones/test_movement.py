"""Measures of movement against closed forms, and what they must not depend on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from aqakit.backbones import movement
from aqakit.backbones.parts.movement.channels import angle, channels, towards
from aqakit.backbones.parts.movement.few import opening
from aqakit.backbones.parts.movement.posture import SEGMENTS, Posture, missing, posture, roles
from aqakit.backbones.parts.movement.smoothness import log_dimensionless_jerk, spectral_arc_length
from aqakit.errors import DataError
from aqakit.recordings.skeletons.parts.layouts import LAYOUTS

RATE = 30.0
T = 90
STANDING = {
    **{"pelvis": (0, 0, 1.0), "neck": (0, 0, 1.5), "head": (0, 0, 1.7)},
    **{"shoulder": (0, 0.2, 1.5), "elbow": (0, 0.2, 1.2), "wrist": (0, 0.2, 0.95)},
    **{"hip": (0, 0.1, 1.0), "knee": (0, 0.1, 0.55), "ankle": (0, 0.1, 0.1), "toe": (0.2, 0.1, 0.0)},
}
"""Forward, left, up of a person who stands, of the left side; trunk, thigh and shank are 1.4 long."""


def joints_of(layout: str = "kinect22", **moved: np.ndarray) -> np.ndarray:
    """(T, J, 3) of a person who stands, but for the joints that move."""
    names = LAYOUTS[layout].joints
    found = np.zeros((T, len(names), 3))
    for column, name in enumerate(names):
        side, _, role = name.partition("_")
        place = STANDING.get(name) or STANDING.get(role) or (0, 0, 1.3)
        found[:, column] = np.array(place) * ([1, -1, 1] if side == "right" else [1, 1, 1])
        if name in moved:
            found[:, column] = moved[name]
    return found


def swing(amount: float = 60.0, hertz: float = 0.5) -> np.ndarray:
    """(T, 3) of the left ankle of a knee that bends by up to ``amount`` degrees and straightens."""
    bend = np.radians(amount) * (1 - np.cos(2 * np.pi * hertz * np.arange(T) / RATE)) / 2
    return np.stack([-0.45 * np.sin(bend), np.full(T, 0.1), 0.55 - 0.45 * np.cos(bend)], 1)


def saved(path: Path, joints: np.ndarray) -> Path:
    np.save(path, joints[..., [1, 2, 0]].astype(np.float32))  # up is the second axis
    return path


def body(joints: np.ndarray, layout: str = "kinect22", up: str = "+z", start: int = 8) -> Posture:
    return posture(joints, LAYOUTS[layout], up, toes=True, start=start)


def values(person: Posture, name: str) -> np.ndarray:
    return {channel.name: value for channel, value in channels(person)}[name]


def test_an_angle_is_exact_near_its_ends_and_never_jumps() -> None:
    turn = np.radians(np.linspace(0, 720, 7201))
    arm = np.stack([np.cos(turn), np.sin(turn)], 1)
    found = angle(np.array([[1.0, 0.0]]).repeat(len(turn), 0), arm)
    assert np.abs(np.diff(found)).max() == pytest.approx(0.1)
    assert found == pytest.approx(np.degrees(np.arccos(arm[:, 0])), abs=1e-5)
    tiny = np.array([[1.0, 1e-9, 0.0]])
    assert np.radians(angle(np.array([[1.0, 0.0, 0.0]]), tiny)) == pytest.approx([1e-9], rel=1e-6)
    assert towards(np.array([[1.0, 0.0, 1.0], [0.0, 0.0, -3.0]]), 0).tolist() == pytest.approx([45, 0])


def test_a_pendulum_bends_one_knee_and_nothing_else() -> None:
    person = body(joints_of(left_ankle=swing()))
    bend = 60 * (1 - np.cos(np.pi * np.arange(T) / RATE)) / 2
    assert values(person, "left knee angle") == pytest.approx(180 - bend, abs=1e-6)
    assert values(person, "right knee angle") == pytest.approx(np.full(T, 180), abs=1e-6)
    assert values(person, "left hip angle") == pytest.approx(np.full(T, 180), abs=1e-6)
    assert values(person, "left shank forward") == pytest.approx(-bend, abs=1e-6)
    assert values(person, "left shoulder angle") == pytest.approx(np.zeros(T), abs=1e-6)
    assert values(person, "trunk lean") == pytest.approx(np.zeros(T), abs=1e-6)


def test_extremes_speeds_and_their_frames(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.npy", joints_of(left_ankle=swing()))
    backbone = movement.build(side="given", smooth=0, layout="kinect22")
    found = dict(zip(backbone.names, next(backbone.read(path)), strict=True))
    assert found["left knee angle, lowest, against the start"] == pytest.approx(-60, abs=3)  # from 8 frames' mean
    assert found["left knee angle, range"] == pytest.approx(60, abs=1e-3)
    assert found["left knee angle, highest speed"] == pytest.approx(30 * np.pi, rel=0.01)  # of 30 (1 − cos πt)
    assert found["left knee angle, mean speed"] == pytest.approx(60, rel=0.02)
    assert found["symmetry of the knee angle, range, left against right"] == pytest.approx(60, abs=1e-3)
    assert found["tempo, duration"] == pytest.approx(3)
    lowest = next(m for m in backbone.measures if m.name == "left knee angle, lowest, against the start")
    assert (lowest.group, lowest.unit, lowest.more) == ("left knee angle", "degrees", "straighter")
    assert backbone.moment(path, lowest) in (30, 90)
    mean = next(m for m in backbone.measures if m.name == "left knee angle, range")
    assert backbone.moment(path, mean) is None


def test_few_measures_of_both_sides_together(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.npy", joints_of(left_ankle=swing(hertz=1 / 3)))  # one bend of 60° of one knee in 3 s
    backbone = movement.build(features="few", smooth=0, layout="kinect22")
    found = dict(zip(backbone.names, next(backbone.read(path)), strict=True))
    assert found["knee angle, lowest"] == pytest.approx(150, abs=1e-3)  # the mean of 120° and 180°
    assert found["knee angle, lowest in part 1 of 8"] == pytest.approx(
        180 - 15 * (1 - np.cos(2 * np.pi * 10 / 90))
    )  # in frame 10
    assert found["symmetry of the knee angle, ranges apart"] == pytest.approx(60, abs=1e-3)
    assert found["symmetry of the knee angle, mean distance"] == pytest.approx(30, abs=0.5)
    # half of the way up is after 3/4 of the time; a quarter and three quarters by the arc cosine of ± 1/2
    assert found["knee angle, open at"] == pytest.approx(2.25, abs=0.01)
    assert found["knee angle, time to open"] == pytest.approx(0.5, abs=0.01)
    assert found["tempo, duration"] == pytest.approx(3)
    measures = {measure.statistic: measure for measure in backbone.measures if measure.channel == "knee angle"}
    assert backbone.moment(path, measures["lowest"]) == 45
    assert backbone.moment(path, measures["lowest in part 8 of 8"]) == 78
    assert backbone.second(path, measures["highest speed"]) == pytest.approx(0.75, abs=0.05)
    assert backbone.moment(path, measures["mean"]) is None


def test_a_joint_opens_by_the_last_rise_after_its_lowest() -> None:
    bounced = np.array([90.0, 10, 0, 50, 10, 0, 0, 30, 60, 90, 100, 100])
    assert opening(bounced) == pytest.approx((6 + 25 / 30, 7 + 20 / 30, 8.5))
    assert opening(np.zeros(9)) == (0, 0, 0)
    assert opening(np.arange(9.0)[::-1]) == (8, 8, 8)


def test_speed_on_a_circle() -> None:
    turn = 2 * np.pi * np.arange(T) / T
    wrist = np.stack([0.14 * np.cos(turn), np.full(T, 0.2), 1.2 + 0.14 * np.sin(turn)], 1)
    person = body(joints_of(left_wrist=wrist))
    ahead, high = (values(person, f"left wrist {way}") for way in ("forward", "height"))
    chord = np.hypot(np.diff(ahead), np.diff(high))
    assert chord == pytest.approx(np.full(T - 1, 2 * 0.1 * np.sin(np.pi / T)))  # 0.14 ÷ 1.4 body lengths


def minimum_jerk(frames: int) -> np.ndarray:
    s = np.linspace(0, 1, frames)
    return (30 * (s**2 - 2 * s**3 + s**4))[:, None]


def test_log_dimensionless_jerk_of_the_minimum_jerk_profile() -> None:
    # the peak is 1.875 and the integral of the squared second derivative 720, for a duration of 1
    found = log_dimensionless_jerk(minimum_jerk(3001), 3000)
    assert found == pytest.approx([-np.log1p(720 / 1.875**2)], rel=1e-3)


@pytest.mark.parametrize(("rate", "seconds"), [(30.0, 2), (100.0, 1)])
def test_spectral_arc_length_is_that_of_the_fourier_integral(rate: float, seconds: int) -> None:
    speed = minimum_jerk(int(rate * seconds) + 1)
    t = np.linspace(0, seconds, 2001)
    v = np.interp(t, np.linspace(0, seconds, len(speed)), minimum_jerk(len(speed))[:, 0])
    f = np.linspace(0, 10, 2001)
    size = np.array([abs(np.trapezoid(v * np.exp(-2j * np.pi * one * t), t)) for one in f])
    size /= size[0]
    last = np.flatnonzero(size >= 0.05)[-1]
    expected = -np.hypot(np.diff(f[: last + 1] / f[last]), np.diff(size[: last + 1])).sum()
    assert spectral_arc_length(speed, rate) == pytest.approx([expected], rel=0.01)


def test_smoothness_does_not_depend_on_size_or_tempo_and_falls_with_a_halt() -> None:
    once, twice = minimum_jerk(61), np.concatenate([minimum_jerk(31), minimum_jerk(31)])
    for measure in (spectral_arc_length, log_dimensionless_jerk):
        assert measure(1000 * once, RATE) == pytest.approx(measure(once, RATE))
        assert measure(twice, RATE) < measure(once, RATE)
        assert measure(np.zeros((40, 2)), RATE).tolist() == [0, 0]
    assert log_dimensionless_jerk(once, 2 * RATE) == pytest.approx(log_dimensionless_jerk(once, RATE))


def wander(seed: int, layout: str = "kinect22") -> np.ndarray:
    """A person who stands and whose joints all move smoothly."""
    steps = np.random.default_rng(seed).normal(size=(T, len(LAYOUTS[layout].joints), 3)).cumsum(0).cumsum(0)
    return joints_of(layout) + 0.1 * steps / np.abs(steps).max()


def test_place_heading_and_size_do_not_matter(tmp_path: Path) -> None:
    x = wander(0)
    turned = 2.5 * x @ Rotation.from_euler("z", 2.0).as_matrix().T + [3.0, -2.0, 0.7]
    backbone = movement.build(layout="kinect22")
    before, after = (next(backbone.read(saved(tmp_path / f"{k}.npy", y))) for k, y in enumerate((x, turned)))
    moments = [not name.split(", ")[-1].startswith("time of") for name in backbone.names]
    np.testing.assert_allclose(after[moments], before[moments], rtol=1e-3, atol=2e-3)


def mirrored(x: np.ndarray, layout: str = "kinect22") -> np.ndarray:
    return (x * [1, -1, 1])[:, list(LAYOUTS[layout].mirrored)]


def test_a_mirrored_recording_gives_mirrored_measures(tmp_path: Path) -> None:
    x = wander(1)
    given, auto = (movement.build(side=side, layout="kinect22") for side in ("given", "auto"))
    paths = [saved(tmp_path / f"{k}.npy", y) for k, y in enumerate((x, mirrored(x)))]
    a, b = (dict(zip(given.names, next(given.read(path)), strict=True)) for path in paths)
    for name, value in a.items():
        if name.startswith("left ") and "spectral" not in name and "time" not in name:
            assert b["right " + name.removeprefix("left ")] == pytest.approx(value, rel=1e-3, abs=2e-3), name
    np.testing.assert_allclose(*(next(auto.read(path)) for path in paths), rtol=1e-3, atol=2e-3)
    assert {auto.motion(path).leads for path in paths} == {"left", "right"}


def test_a_picture_of_someone_who_faces_left_is_that_of_one_who_faces_right() -> None:
    x = joints_of(left_ankle=swing())[..., [0, 2]]
    person, other = (body(x * [way, 1], up="+y") for way in (1, -1))
    for name in ("left knee angle", "left shank along the picture", "left ankle along the picture"):
        assert values(other, name) == pytest.approx(values(person, name))


def test_the_centre_of_mass_is_between_the_feet_and_of_all_parts() -> None:
    assert sum(share for _, _, share, _ in SEGMENTS) == pytest.approx(1)
    person = body(joints_of())
    height = values(person, "centre of mass over the feet height") * 1.4 + 0.05  # the feet are 0.1 and 0 high
    assert 0.5 < height[0] / 1.8 < 0.6  # of the stature, as everybody's
    assert values(person, "base of support") == pytest.approx(np.full(T, 0.2 / 1.4))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_has_the_roles(layout: str) -> None:
    lacks = missing(LAYOUTS[layout], toes=True)
    assert all(role.endswith("toe") for role in lacks)
    person = posture(wander(2, layout), LAYOUTS[layout], "+z", toes=not lacks, start=8)
    assert set(person.joints) == set(roles(not lacks))
    assert all(np.isfinite(value).all() for _, value in channels(person))


@pytest.mark.parametrize("features", ["measures", "few", "places", "angles", "channels"])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_names_units_and_groups(tmp_path: Path, features: str, dimensions: int) -> None:
    backbone = movement.build(features=features, dimensions=dimensions, layout="kinect22")
    x = saved(tmp_path / "a.npy", wander(3))
    if dimensions == 2:
        np.save(x, np.load(x)[..., :2])
    found = np.stack(list(backbone.read(x)))
    assert found.shape == (1 if features in ("measures", "few") else 100, *backbone.shape)
    assert np.isfinite(found).all()
    assert len(set(backbone.names)) == len(backbone.names) == len(backbone.measures)
    assert all(measure.group and measure.more for measure in backbone.measures)
    still = np.stack(list(backbone.read(saved(tmp_path / "b.npy", joints_of())))) if dimensions == 3 else found
    assert np.isfinite(still).all()


def test_windows_and_what_cannot_be_measured(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.npy", wander(4))
    assert len(list(movement.build(windows=3, layout="kinect22").read(path))) == 3
    parts = next(movement.build(layout="kinect22").read(path, (10, 70)))
    alone = saved(tmp_path / "b.npy", wander(4)[10:71])
    np.testing.assert_array_equal(parts, next(movement.build(layout="kinect22").read(alone)))
    for options, sentence in (
        ({"windows": 20}, "too few for 20 windows"),
        ({"dimensions": 2}, "give it dimensions=3"),
    ):
        with pytest.raises(DataError, match=sentence):
            list(movement.build(layout="kinect22", **options).read(path))
    coco = saved(tmp_path / "c.npy", wander(5, "coco17"))
    with pytest.raises(DataError, match=r"no left_toe and right_toe, .*toes=no"):
        list(movement.build(layout="coco17").read(coco))
    assert len(list(movement.build(layout="coco17", toes=False).read(coco))) == 1
    with pytest.raises(DataError, match="too few"):
        list(movement.build(layout="kinect22").read(path, (0, 3)))


def test_what_changes_the_features_changes_the_fingerprint(tmp_path: Path) -> None:
    plain = movement.build().fingerprint()
    for options in ({"side": "given"}, {"levels": "absolute"}, {"smooth": 0.0}, {"toes": False}, {"layout": "coco17"}):
        assert movement.build(**options).fingerprint() != plain
    person = body(wander(6))
    assert replace(person, start=4).start == 4
