"""Every format reads to the joints of one known walker; what is assumed, chosen or filled is said."""

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest
from scipy.interpolate import interp1d
from scipy.spatial.transform import Rotation

from aqakit import discovery
from aqakit.errors import DataError, OptionError
from aqakit.recordings import contents, signals, skeletons
from aqakit.recordings.hashing import content_hash
from aqakit.recordings.skeletons import LAYOUTS, ui_prmd
from aqakit.recordings.skeletons.parts import files
from aqakit.recordings.skeletons.parts.source import Source
from aqakit.types import Sample
from tests import walkers
from tests.walkers import CASES, Case

UI_PRMD = "ui-prmd/Segmented Movements/Kinect/Positions/m01_s01_e01_positions.txt.gz"


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_every_format_reads_to_the_same_joints(case: Case, tmp_path):
    path = case.write(tmp_path)
    assert skeletons.format_of(path) == case.format
    body = skeletons.read(path)
    np.testing.assert_allclose(body.joints, case.joints, atol=case.exact * 0.51 + np.abs(case.joints).max() * 2e-7)
    assert body.joints.dtype == np.float32
    assert (body.layout.name if body.layout else None) == case.layout
    assert body.seen.shape == body.joints.shape[:2]
    assert body.seen.all()
    for name, value in case.about.items():
        assert getattr(body, name) == pytest.approx(value) if name == "rate" else getattr(body, name) == value
    np.testing.assert_array_equal(signals.skeleton(path), body.joints)


def test_every_format_has_a_case_and_a_first_line():
    assert {case.format for case in CASES} == set(skeletons.names())
    for name in skeletons.names():
        assert 10 < len(discovery.first_line("recordings/skeletons", name)) < 90


NAMES = (
    "mediapipe x0", "deeplabcut", "kinect kimore", "ntu", "bvh", "trc metres", "array flat csv", "table 3-D",
    "aqakit pose", "coco results",
)  # fmt: skip
TEXTS = [case for case in CASES if case.name in NAMES]


@pytest.mark.parametrize("how", ["windows", "old mac", "utf-8 mark", "utf-16", "packed", "blank lines"])
@pytest.mark.parametrize("case", TEXTS, ids=[case.name for case in TEXTS])
def test_however_the_text_is_written(how: str, case: Case, tmp_path):
    path = case.write(tmp_path)
    before = skeletons.read(path).joints
    data = path.read_bytes()
    text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()
    changed = {
        "windows": text.replace("\n", "\r\n").encode(),
        "old mac": text.replace("\n", "\r").encode(),
        "utf-8 mark": b"\xef\xbb\xbf" + text.encode(),
        "utf-16": text.encode("utf-16"),
        "packed": gzip.compress(text.encode()),
        "blank lines": (text + "\n\n").encode(),
    }[how]
    path = path.with_name(path.name.removesuffix(".gz") + ".gz" * (how == "packed"))
    path.write_bytes(changed)
    np.testing.assert_array_equal(skeletons.read(path).joints, before)


def test_semicolons_and_decimal_commas(tmp_path):
    text = walkers.named_text("coco17", ("x", "y"), walkers.pixels("coco17"), ";").replace(".", ",")
    body = skeletons.read(walkers.written(tmp_path, "t.csv", text))
    np.testing.assert_allclose(body.joints, walkers.pixels("coco17"), atol=1e-4)
    assert body.layout == LAYOUTS["coco17"]


def test_short_gaps_are_interpolated_and_long_ones_flagged(tmp_path):
    joints = walkers.pixels("coco17").astype(np.float64)
    joints[3:6, 4] = np.nan  # three frames of the 6 that 0.2 s are at 30 a second
    joints[8:16, 7, 1] = np.nan
    joints[:2, 9] = joints[20:, 10] = np.nan
    np.save(tmp_path / "a.npy", joints)
    body = skeletons.read(tmp_path / "a.npy", layout="coco17")
    for joint in (4, 7, 9, 10):
        there = ~np.isnan(joints[:, joint]).any(1)
        ends = tuple(joints[there, joint][[0, -1]])
        known = interp1d(np.flatnonzero(there), joints[there, joint], axis=0, bounds_error=False, fill_value=ends)
        np.testing.assert_allclose(body.joints[:, joint], known(np.arange(walkers.T)), rtol=1e-6)
    assert np.flatnonzero(~body.seen.all(1)).tolist() == list(range(8, 16))
    assert any("8 of 408 positions were missing for more than 6 frames" in note for note in body.notes)
    assert any("9 of 408 positions were missing for at most 6 frames" in note for note in body.notes)
    longer = skeletons.read(tmp_path / "a.npy", layout="coco17", gap=8 / 30)
    assert longer.seen.all()
    np.testing.assert_array_equal(longer.joints, body.joints)
    assert skeletons.read(tmp_path / "a.npy", gap=0).seen.sum() == np.isfinite(joints).all(2).sum()


def test_the_gap_is_in_seconds_where_the_rate_is_known(tmp_path):
    text = walkers.pose_text(missing=(4, 8))  # 5 frames at 25 a second
    path = walkers.written(tmp_path, "joints.csv", text)
    assert skeletons.read(path, gap=0.2).seen.all()
    assert (~skeletons.read(path, gap=0.19).seen).sum() == 5 * 33


def test_a_joint_that_is_never_seen_is_flagged_and_said(tmp_path):
    joints = walkers.pixels("openpose25")
    frames = [[one] for one in walkers.scored("openpose25")]
    for (one,) in frames:
        one[17] = 0
    body = skeletons.read(walkers.openpose_folder(tmp_path, frames))
    assert not body.seen[:, 17].any()
    assert np.isfinite(body.joints).all()
    assert "never seen: right_ear" in body.notes
    assert body.confidence[:, 17].max() == 0
    np.testing.assert_allclose(np.delete(body.joints, 17, 1), np.delete(joints, 17, 1), atol=1e-3)


def test_frames_missing_from_the_numbers_are_a_gap(tmp_path):
    frames = [[one] for one in walkers.scored("openpose25")]
    kept = [t for t in range(walkers.T) if t not in (5, 6, 11, 12, 13, 14, 15, 16, 17, 18)]
    body = skeletons.read(walkers.openpose_folder(tmp_path, [frames[t] for t in kept], [t + 40 for t in kept]))
    assert len(body.joints) == walkers.T
    assert np.flatnonzero(~body.seen.all(1)).tolist() == list(range(11, 19))
    np.testing.assert_allclose(body.joints[kept], walkers.pixels("openpose25")[kept], atol=1e-3)
    assert any("10 frames are missing" in note for note in body.notes)


def test_numbers_far_apart_are_refused_rather_than_filled(tmp_path):
    frames = [[one] for one in walkers.scored("openpose25")[:3]]
    folder = walkers.openpose_folder(tmp_path, frames, [0, 1, 10**9])
    with pytest.raises(DataError, match="jump from 1 to 1000000000"):
        skeletons.read(folder)


def _crowd(layout: str) -> list[list[np.ndarray]]:
    """The walker among two smaller people that stand and one who is large, but there for a few frames only."""
    chance = np.random.default_rng(4)
    frames = []
    for t, one in enumerate(walkers.scored(layout)):
        small = one * (0.4, 0.4, 1) + (30, 200, 0)
        other = one * (0.5, 0.5, 1) + (700, 100, 0)
        large = one * (2, 2, 1) + (1500, 0, 0)
        people = [small, one, other] + [large] * (t in (7, 8, 9))
        frames.append([people[k] for k in chance.permutation(len(people))])
    return frames


def test_of_several_people_the_largest_over_the_clip_is_taken(tmp_path):
    body = skeletons.read(walkers.openpose_folder(tmp_path, _crowd("openpose25")))
    np.testing.assert_allclose(body.joints, walkers.pixels("openpose25"), atol=1e-3)
    assert any("up to 4 people" in note and "24 of 24 frames" in note for note in body.notes)


def test_somebody_who_appears_late(tmp_path):
    frames = [people if t >= 9 else [p for p in people if p[:, 0].min() > 600 or np.ptp(p[:, 1]) < 250]
              for t, people in enumerate(_crowd("openpose18"))]  # fmt: skip
    body = skeletons.read(walkers.openpose_folder(tmp_path, frames))
    np.testing.assert_allclose(body.joints[9:], walkers.pixels("openpose18")[9:], atol=1e-3)
    assert not body.seen[:9].any()
    assert body.seen[9:].all()


def test_two_people_as_large_are_said(tmp_path):
    frames = [[one, one * (0.9, 0.9, 1) + (900, 0, 0)] for one in walkers.scored("openpose18")]
    assert any("nearly as large" in note for note in skeletons.read(walkers.openpose_folder(tmp_path, frames)).notes)


def test_people_with_names_are_not_mixed_up_where_they_cross(tmp_path):
    walker, back = walkers.metres("kinect25"), walkers.metres("kinect25")[::-1] * (1, 0.8, 1)
    order = np.random.default_rng(0).permutation
    frames = [dict(order([(1, 0), (2, 1)]).tolist()) for _ in range(walkers.T)]
    bodies = [{name: (walker, back)[which][t] for name, which in one.items()} for t, one in enumerate(frames)]
    path = walkers.written(tmp_path, "a.skeleton", walkers.ntu_text(bodies))
    np.testing.assert_allclose(skeletons.read(path).joints, walker, atol=1e-6)


def test_several_individuals_of_deeplabcut(tmp_path):
    names = LAYOUTS["coco17"].joints
    small = walkers.scored("coco17") * (0.5, 0.5, 1)
    both = np.concatenate([small, walkers.scored("coco17")], 1)
    path = walkers.written(tmp_path, "a.csv", walkers.deeplabcut_text(both, names, ("a", "b")))
    np.testing.assert_allclose(skeletons.read(path).joints, walkers.pixels("coco17"), atol=1e-4)


@pytest.mark.parametrize("name", ["a.npy", "a.json", "a.csv"])
def test_confidence_is_never_a_coordinate(name: str, tmp_path):
    scored = walkers.scored("openpose25")
    scored[4, 3] = 0
    path = walkers._array(name, scored)(tmp_path)
    body = skeletons.read(path, layout="openpose25")
    assert body.joints.shape == (walkers.T, 25, 2)
    np.testing.assert_allclose(body.confidence, scored[..., 2], atol=1e-4)
    assert any("confidence" in note for note in body.notes)
    assert any("at most 6 frames" in note for note in body.notes)
    metres = walkers.metres("openpose25")
    assert skeletons.read(walkers._array("b.npy", metres)(tmp_path)).joints.shape[2] == 3


def test_where_two_layouts_fit_the_option_decides(tmp_path):
    np.save(tmp_path / "a.npy", walkers.metres("h36m17"))
    body = skeletons.read(tmp_path / "a.npy")
    assert body.layout is None
    assert any("coco17 or h36m17 or diver17; say which with layout=coco17" in note for note in body.notes)
    for name in ("coco17", "h36m17", "diver17"):
        assert skeletons.read(tmp_path / "a.npy", layout=name).layout == LAYOUTS[name]
    flat = walkers.metres("kinect22").reshape(walkers.T, 66)
    np.save(tmp_path / "b.npy", flat)
    with pytest.raises(DataError, match=r"kinect22 × 3.*say which with layout="):
        skeletons.read(tmp_path / "b.npy")
    assert skeletons.read(tmp_path / "b.npy", layout="kinect22").joints.shape == (walkers.T, 22, 3)
    assert skeletons.read(tmp_path / "b.npy", layout="blazepose33").joints.shape == (walkers.T, 33, 2)
    with pytest.raises(DataError, match="no joints of coco17"):
        skeletons.read(tmp_path / "b.npy", layout="coco17")
    with pytest.raises(OptionError, match="did you mean 'coco17'"):
        skeletons.read(tmp_path / "b.npy", layout="coco")


def test_a_layout_is_taken_out_of_another_by_names(tmp_path):
    path = walkers.openpose_folder(tmp_path, [[one] for one in walkers.scored("openpose25")])
    body = skeletons.read(path, layout="coco17")
    np.testing.assert_allclose(body.joints, walkers.pixels("coco17"), atol=1e-3)
    with pytest.raises(DataError, match="has no spine, left_hand, right_hand, thorax"):
        skeletons.read(path, layout="kinect25")


def test_half_a_joint_is_a_mistake(tmp_path):
    joints = walkers.pixels("coco17")
    joints[:, 3, 1] = np.nan
    np.save(tmp_path / "a.npy", joints)
    with pytest.raises(DataError, match="joint 3, counted from 0, never are all coordinates finite"):
        skeletons.read(tmp_path / "a.npy")


def test_kinect_states(tmp_path):
    (case,) = (case for case in CASES if case.name == "kinect kimore")
    path = case.write(tmp_path)
    lines = [line.split(",") for line in path.read_text().splitlines()]
    lines[4][3] = lines[5][3] = "0.00000"
    lines[9][7] = "1.00000"
    path.write_text("\n".join(map(",".join, lines)))
    body = skeletons.read(path)
    assert body.confidence[4:6, 0].tolist() == [0, 0]
    assert body.confidence[9, 1] == 0.5
    np.testing.assert_allclose(body.joints[4:6, 0], case.joints[4:6, 0], atol=0.01)


def test_missing_markers_are_gaps(tmp_path):
    path = walkers.written(tmp_path, "a.trc", walkers.trc_text("mm", missing=(21, 3, 9)))  # the last columns
    body = skeletons.read(path)
    assert body.seen.all()  # 7 frames at 60 a second
    np.testing.assert_allclose(body.joints[:, 21], walkers.joint("left_wrist"), atol=0.03)


def test_planted_feet_stay_only_in_this_order_of_rotations(shared_data: Path):
    path = shared_data / UI_PRMD
    body = skeletons.read(path)
    bones = np.linalg.norm(body.joints[:, 1:] - body.joints[:, walkers.UI_PARENTS[1:]], axis=2)
    assert (bones.std(0) < 0.05).all()
    offsets, about = (ui_prmd._table(Source(one)) for one in files.files_of(path))
    wander = {}
    for order in ("ZXY", "ZYX", "XYZ", "XZY", "YXZ", "YZX"):
        turned = Rotation.from_euler(order, about[..., ["XYZ".index(a) for a in order]].reshape(-1, 3), degrees=True)
        joints = walkers.forward(walkers.UI_PARENTS, offsets, turned.as_matrix().reshape(*about.shape[:2], 3, 3))
        wander[order] = joints[:, [16, 20]].std(0).max()
        if order == "ZXY":
            np.testing.assert_allclose(body.joints, joints / 100, atol=1e-5)
    assert min(wander, key=wander.get) == "ZXY"


def test_a_hash_covers_all_files_of_a_recording(tmp_path):
    (case,) = (case for case in CASES if case.name == "ui-prmd folders")
    path = case.write(tmp_path)
    alone = content_hash(path)
    both = content_hash(path, kind="skeleton")
    assert alone != both
    beside = tmp_path / "Angles" / "m01_s01_e01_angles.txt.gz"
    beside.write_bytes(gzip.compress(gzip.decompress(beside.read_bytes()).replace(b"1", b"2", 1)))
    assert content_hash(path, kind="skeleton") != both
    assert content_hash(path) == alone
    folder = walkers.openpose_folder(tmp_path, [[one] for one in walkers.scored("openpose25")])
    before = content_hash(folder, kind="skeleton")
    (folder / "notes.txt").write_text("no frame")
    assert content_hash(folder, kind="skeleton") == before
    last = max(folder.glob("*.json"))
    last.write_text(last.read_text().replace("0.5", "0.6") + " ")
    assert content_hash(folder, kind="skeleton") != before


def test_a_single_file_has_the_hash_it_had(tmp_path):
    np.save(tmp_path / "a.npy", walkers.metres("coco17"))
    assert content_hash(tmp_path / "a.npy", kind="skeleton") == content_hash(tmp_path / "a.npy")


def test_check_reads_every_format_and_tells_what_was_filled(tmp_path):
    samples = []
    for at, case in enumerate(CASES):
        (tmp_path / str(at)).mkdir()
        samples.append(Sample(id=case.name, sources={"skeleton": case.write(tmp_path / str(at))}))
    gappy = walkers.written(tmp_path, "gap.csv", walkers.pose_text(missing=(2, 4)))
    found = contents.inspect([*samples, Sample(id="gap", sources={"skeleton": gappy})])
    assert {one.problem for one in found.values()} == {""}
    assert {one.length for one in found.values()} == {walkers.T}
    assert any("interpolated" in note for note in found[gappy].notes)
    contents.digests(found.values())


def test_large_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("AQAKIT_LARGEST", "1")
    folder = walkers.openpose_folder(tmp_path, [[one] for one in walkers.scored("openpose25")] * 10)
    with pytest.raises(DataError, match="AQAKIT_LARGEST"):
        skeletons.read(folder)
    np.save(tmp_path / "a.npy", np.zeros((4000, 25, 3), np.float32))
    with pytest.raises(DataError, match="AQAKIT_LARGEST"):
        skeletons.read(tmp_path / "a.npy")


def test_pickles_are_never_opened(tmp_path):
    class Call:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'executed'}",)

    np.savez(tmp_path / "data_3d_h36m.npz", positions_3d=np.array(Call(), dtype=object))
    with pytest.raises(DataError, match="cannot be read as an array of numbers"):
        skeletons.read(tmp_path / "data_3d_h36m.npz")
    assert not (tmp_path / "executed").exists()


def test_a_format_of_ones_own(tmp_path, monkeypatch):
    formats = tmp_path / "recordings" / "skeletons"
    formats.mkdir(parents=True)
    (formats / "mine.py").write_text(
        '"""My own format."""\nimport numpy as np\n'
        "from aqakit.recordings.skeletons.parts.found import Found\n"
        'def fits(source): return source.kind == "text" and source.text.startswith("mine")\n'
        "def read(source): return Found(np.ones((3, 4, 2)))\n"
    )
    monkeypatch.setenv("AQAKIT_PLUGINS", str(tmp_path))
    (tmp_path / "a.txt").write_text("mine\n")
    assert "mine" in skeletons.names()
    assert skeletons.read(tmp_path / "a.txt").joints.shape == (3, 4, 2)


def test_json_of_several_kinds_in_one_list_is_refused(tmp_path):
    mixed = [*walkers.coco_results(walkers.scored("coco17")), {"people": []}]
    (tmp_path / "a.json").write_text(json.dumps(mixed))
    with pytest.raises(DataError, match=r"may be coco or openpose"):
        skeletons.read(tmp_path / "a.json")


def test_the_joints_of_human36m_that_move(tmp_path):
    path = walkers.h36m_all(tmp_path)
    assert skeletons.read(path).joints.shape == (walkers.T, 32, 3)
    body = skeletons.read(path, layout="h36m17")
    np.testing.assert_allclose(body.joints, walkers.metres("h36m17"), atol=1e-6)
    assert body.layout == LAYOUTS["h36m17"]
