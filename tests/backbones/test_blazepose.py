"""BlazePose: turned regions against closed-form maps, the subject among many, gaps, and the networks on real people."""

import hashlib
import math
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from scipy import ndimage
from scipy.signal import savgol_filter

from aqakit.backbones import blazepose
from aqakit.backbones.parts.blazepose import detection, filling, finding, networks, overlay, table, tracks
from aqakit.backbones.parts.blazepose.detection import Candidate
from aqakit.backbones.parts.blazepose.regions import Region, between, cut
from aqakit.backbones.parts.blazepose.tracks import Subject
from aqakit.backbones.weights import bundles, download, published
from aqakit.errors import DataError, OptionError, VideoError, WeightsError
from aqakit.recordings import video
from aqakit.recordings.clips import Uniform
from aqakit.recordings.skeletons.parts.layouts import LAYOUTS
from tests.blazepose import Squares, write_squares

LAYOUT = LAYOUTS["blazepose33"]
RNG = np.random.default_rng(0)


def moving(frames: int, start: tuple[float, float], step: tuple[float, float]) -> np.ndarray:
    return np.array(start, float) + np.arange(frames)[:, None] * np.array(step, float)


# Regions


@pytest.mark.parametrize("turn", [0.0, 0.7, -2.5, math.pi])
def test_a_region_shows_what_scipy_shows(turn):
    picture = ndimage.gaussian_filter(RNG.integers(0, 256, (90, 110, 3)).astype(float), (2, 2, 0)).astype(np.uint8)
    region = Region(52.0, 43.0, 60.0, turn)
    grid = (np.arange(64) + 0.5) / 64
    points = region.to_picture(np.stack(np.meshgrid(grid, grid), -1))
    at = points[..., 1] - 0.5, points[..., 0] - 0.5  # scipy's pixels have their middles at whole numbers
    expected = [ndimage.map_coordinates(picture[..., c].astype(float), at, order=1) for c in range(3)]
    assert np.abs(255 * cut(picture, region, 64) - np.stack(expected, -1)).max() < 1


def test_a_region_of_the_guides_has_the_second_one_straight_up():
    middle, top = np.array([30.0, 40.0]), np.array([42.0, 31.0])
    region = Region.of_guides(middle, top)
    assert region.side == pytest.approx(2 * 1.25 * 15)
    np.testing.assert_allclose(region.to_picture(np.array([0.5, 0.5])), middle)
    np.testing.assert_allclose(region.to_picture(np.array([0.5, 0.1])), top)  # 0.4 of the side above


def test_outside_the_picture_is_black_and_far_outside_too():
    white = np.full((20, 20, 3), 255, np.uint8)
    shown = cut(white, Region(0.0, 10.0, 20.0, 0.0), 20)
    assert shown[:, :9].max() == 0
    assert shown[2:-2, 11:].min() > 0.99
    assert cut(white, Region(500.0, -80.0, 20.0, 1.0), 8).max() == 0


def test_the_way_between_two_regions_is_the_shorter_turn():
    half = between(Region(0, 0, 10, 3.0), Region(4, 8, 40, -3.0), 0.5)
    assert (half.x, half.y, half.side) == pytest.approx((2, 4, 20))
    assert abs(half.turn) == pytest.approx(math.pi)


def test_anchors_are_the_middles_of_the_cells():
    found = detection.anchors() * 224
    assert found.shape == (2254, 2)
    assert found[[0, 1, 2, 1568, 1960]].tolist() == [[4, 4], [4, 4], [12, 4], [8, 8], [16, 16]]


def test_boxes_of_one_body_are_one_candidate():
    rows, logits = np.zeros((2254, 12), np.float32), np.full(2254, -20, np.float32)
    for at, confidence in ((1000, 2.0), (1001, 1.0), (200, 0.5)):
        rows[at, :8], logits[at] = [0, 0, 40, 40, 1, 2, 1, -18], confidence
    found = detection.candidates(rows, logits, 0.5)
    middles = detection.anchors()[[1000, 200]] * 224 + [1, 2]
    np.testing.assert_allclose([one.region[:2] for one in found], middles, rtol=1e-6)
    assert [one.confidence for one in found] == pytest.approx([1 / (1 + math.exp(-2)), 1 / (1 + math.exp(-0.5))])
    assert found[0].region.side == pytest.approx(50)


# The subject


@pytest.mark.parametrize("text", ["biggest", "3", "3,4,5", "3,x", "-1,2", "1,2@soon", "nan,1", "1,2@"])
def test_an_unknown_subject_is_refused(text):
    with pytest.raises(OptionError, match=r"subject .* should be largest, central, moving"):
        Subject.parse(text)


def people(folder: Path) -> Path:
    """A large red one, a small green one that crosses the picture, and a blue one in the middle."""
    places = np.stack([moving(30, (30, 30), (0, 0.2)), moving(30, (10, 80), (2, 0)), moving(30, (64, 48), (0, 0))], 1)
    return write_squares(folder / "people.mkv", places, [14, 6, 8])


@pytest.mark.parametrize(
    ("subject", "ends_at"),
    [
        ("largest", (30, 35.8)), ("moving", (68, 80)), ("central", (64, 48)), ("60,50", (64, 48)),
        ("0.5,0.5", (64, 48)),        ("58,80@0.8", (68, 80)), ("30,30@0", (30, 35.8)),
    ],
)  # fmt: skip
def test_the_subject_is_who_is_meant(subject, ends_at, tmp_path):
    person = finding.find(people(tmp_path), Squares(), subject=Subject.parse(subject))
    assert person.share == 1
    np.testing.assert_allclose(person.joints[-1, :33, :2].mean(0), ends_at, atol=2)


def test_one_large_person_among_five_is_followed_and_several_alike_are_said(tmp_path):
    small = [moving(40, (15 + 20 * k, 85), (0.3, 0)) for k in range(5)]
    crowd = np.stack([moving(40, (20, 40), (2, 0)), *small], 1)
    person = finding.find(write_squares(tmp_path / "a.mkv", crowd, [20, 7, 7, 7, 7, 7]), Squares())
    np.testing.assert_allclose(person.joints[:, :32, :2].mean(1), crowd[:, 0], atol=2)
    assert person.notes == ()
    person = finding.find(write_squares(tmp_path / "b.mkv", crowd[:, :2], [10, 9]), Squares())
    assert "another body is almost as likely to be the subject" in person.notes[0]


def test_who_is_lost_is_found_again_and_gaps_are_filled_to_a_length(tmp_path):
    path = moving(60, (20, 40), (1, 0))
    truth = path.copy()
    path[20:24] = path[40:56] = np.nan
    person = finding.find(write_squares(tmp_path / "a.mkv", path[:, None], [12]), Squares())
    assert person.seen.tolist() == np.isfinite(path[:, 0]).tolist()
    done = filling.filled(person.joints, person.times, 0.25)
    assert filling.present(done).tolist() == [k not in range(40, 56) for k in range(60)]
    np.testing.assert_allclose(done[20:24, :32, :2].mean(1), truth[20:24], atol=1)
    whole = filling.everywhere(person.joints, person.times)
    assert np.isfinite(whole).all()
    np.testing.assert_array_equal(whole[person.seen], person.joints[person.seen])


@pytest.mark.slow
def test_cores_change_nothing_and_memory_is_not_needed_for_the_whole(tmp_path):
    path = moving(150, (20, 40), (0.5, 0.1))
    path[70:75] = np.nan
    file = write_squares(tmp_path / "a.mkv", path[:, None], [12])
    one, three = (finding.find(file, Squares(), threads=n).joints for n in (1, 3))
    np.testing.assert_array_equal(one, three)
    networks_ = Squares()
    finding.find(file, networks_)
    assert networks_.looks < 1.6 * 150  # the detector tells where chains begin; hard frames are few


def test_nobody_is_a_sentence_and_a_window_outside_too(tmp_path):
    file = write_squares(tmp_path / "empty.mkv", np.full((9, 1, 2), np.nan), [5])
    with pytest.raises(DataError, match=r"empty\.mkv: nobody is found in its 9 frames"):
        finding.find(file, Squares())
    with pytest.raises(VideoError, match="has frames 0 to 8"):
        finding.find(file, Squares(), window=(3, 9))


def test_tracks_end_when_a_body_is_gone_and_follow_what_is_alike():
    times = np.arange(100) / 30
    pairs = [(Region(10.0 + k, 50, 20, 0), Region(80.0 - k / 2, 50, 9, 0)) for k in range(0, 60, 4)]
    looked = [(4 * k, [Candidate(one, 0.9), Candidate(other, 0.8)]) for k, (one, other) in enumerate(pairs)]
    found = tracks.link(looked, times)
    assert [len(track.frames) for track in found] == [15, 15]
    assert all(np.ptp(track.sides) == 0 for track in found)  # they cross, and stay who they are


# Smoothing


def test_smoothing_is_that_of_scipy_and_of_the_closed_form():
    times = np.arange(60) / 30
    joints = RNG.normal(size=(60, 33, 2)).astype(np.float32)
    expected = savgol_filter(joints.astype(float), 9, 2, axis=0)
    np.testing.assert_allclose(filling.smoothed(joints, times, "savitzky-golay"), expected, atol=1e-5)
    still = np.repeat(joints[:1], 60, 0)
    for how in ("one-euro", "savitzky-golay", "none"):
        np.testing.assert_allclose(filling.smoothed(still, times, how), still, atol=1e-5)
    noisy = still + RNG.normal(0, 0.05, still.shape).astype(np.float32)
    calm = filling.smoothed(noisy, times, "one-euro")
    assert np.std(calm[20:] - still[20:]) < 0.8 * np.std(noisy[20:] - still[20:])
    noisy[30] = np.nan
    assert np.isnan(filling.smoothed(noisy, times, "one-euro")).all((1, 2)).tolist() == [k == 30 for k in range(60)]


# The table and the drawing


def test_the_table_is_read_back_and_has_empty_cells_where_nobody_is(tmp_path):
    path = moving(12, (40, 40), (2, 0))
    file = write_squares(tmp_path / "a.mkv", path[:, None], [12])
    person = finding.find(file, Squares())
    person.joints[5], person.visibility[5] = np.nan, 0
    table.write(tmp_path / "joints.csv", person, person.joints)
    rows = [line.split(",") for line in (tmp_path / "joints.csv").read_text().splitlines()]
    assert rows[0][:4] == ["time_s", "nose_x", "nose_y", "nose_visibility"]
    assert [name.removesuffix("_x") for name in rows[0][1::3]] == list(LAYOUT.joints)
    assert rows[6][1:] == [""] * 99
    values = np.array(rows[1:6], float)
    np.testing.assert_allclose(values[:, 0], np.arange(5) / 30, atol=5e-4)  # Matroska counts milliseconds
    np.testing.assert_allclose(values[:, 1:].reshape(5, 33, 3)[..., :2], person.joints[:5, :, :2], atol=0.01)


def test_the_drawing_has_the_times_of_the_video(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:  # with a pause, at an odd size
        track = container.add_stream("ffv1", rate=30)
        track.height, track.width, track.pix_fmt = 97, 129, "bgr0"
        for k, time in enumerate([0, 1, 2, 7, 8, 9]):
            picture = np.zeros((97, 129, 3), np.uint8)
            picture[30:50, 30 + k : 50 + k, 0] = 255
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 30)
            container.mux(track.encode(frame))
        container.mux(track.encode(None))
    person = finding.find(tmp_path / "a.mkv", Squares())
    overlay.write(tmp_path / "o.mp4", person, person.joints)
    np.testing.assert_allclose(video.times(tmp_path / "o.mp4"), np.array([0, 1, 2, 7, 8, 9]) / 30, atol=1e-3)
    np.testing.assert_allclose(person.times, np.array([0, 1, 2, 7, 8, 9]) / 30, atol=1e-3)
    assert video.probe(tmp_path / "o.mp4").width == 128
    drawn = video.frames(tmp_path / "o.mp4", [0])[0].astype(int)
    assert ((drawn[..., 1] > 120) & (drawn[..., 0] < 100)).any()  # the left side is green


# The backbone


def square_backbone(**options):
    usual = {"plan": Uniform(count=2, frames=4), "subject": "largest", "share": 0.3, "gap": 0.25, "smooth": "none"}
    return blazepose.BlazePose(Squares(), "squares", **({"layout": "joints"} | usual | options))


def test_the_backbone_centres_scales_and_reports(tmp_path):
    path = moving(40, (20, 40), (1, 0))
    path[30:] = np.nan
    file, report = write_squares(tmp_path / "a.mkv", path[:, None], [12]), video.Report()
    clips = np.stack(list(square_backbone().read(file, report=report)))
    assert clips.shape == (2, 4, 33, 2)
    np.testing.assert_allclose(clips.mean((1, 2)), 0, atol=1e-5)
    assert (report.searched, report.found) == (40, 30)
    assert report.sentence().endswith("the body is in view in 30 of 40 frames (75 %)")
    with pytest.raises(DataError, match=r"in view in 30 of 40 frames \(75%\), and a score needs 90%"):
        list(square_backbone(share=0.9).read(file))


# The files


def bundle(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"{name}.tflite", content)
    return path


def test_a_damaged_or_missing_file_is_a_sentence(tmp_path, monkeypatch):
    good = b"1234TFL3" + b"x" * 100
    with pytest.raises(
        WeightsError, match=r"no such file or folder; get them with `aqakit weights get blazepose-lite`"
    ):
        bundles.read(tmp_path / "none", "lite")
    with pytest.raises(WeightsError, match=r"has no pose_detection\.tflite"):
        bundles.read(tmp_path, "full")
    (tmp_path / "text.task").write_text("hello")
    with pytest.raises(WeightsError, match=r"is damaged, or not a \.task file"):
        bundles.read(tmp_path / "text.task", "full")
    with pytest.raises(WeightsError, match=r"has no pose_landmarks_detector\.tflite"):
        bundles.read(bundle(tmp_path / "half.task", pose_detector=good), "full")
    with pytest.raises(WeightsError, match=r"is damaged, or not a \.tflite file"):
        bundles.read(bundle(tmp_path / "bad.task", pose_detector=good, pose_landmarks_detector=b"no"), "full")
    whole = bundle(tmp_path / "whole.task", pose_detector=good, pose_landmarks_detector=good + b"y")
    found = bundles.read(whole, "full")
    assert (found.detector, found.landmarks) == (good, good + b"y")
    cut_off = tmp_path / "cut.task"
    cut_off.write_bytes(whole.read_bytes()[:-30])
    with pytest.raises(WeightsError, match="is damaged"):
        bundles.read(cut_off, "full")
    monkeypatch.setattr(bundles, "LARGEST", 50)
    with pytest.raises(WeightsError, match="it is not a published network"):
        bundles.read(whole, "full")


def test_a_downloaded_bundle_is_verified(tmp_path):
    entry = published.entry("blazepose-full")
    assert (entry.licence, entry.name) == ("Apache-2.0", "pose_landmarker_full.task")
    good = b"1234TFL3" + b"x" * 100
    file = bundle(tmp_path / entry.name, pose_detector=good, pose_landmarks_detector=good)
    size, digest = file.stat().st_size, hashlib.sha256(file.read_bytes()).hexdigest()
    download.check(file, replace(entry, size=size, sha256=digest))
    with pytest.raises(WeightsError, match="bytes, not the 9398198"):
        download.check(file, entry)
    with pytest.raises(WeightsError, match=f"its SHA-256 is {digest}"):
        download.check(file, replace(entry, size=size))
    file.write_bytes(b"x" * 50)
    with pytest.raises(WeightsError, match="is damaged"):
        download.check(file, replace(entry, size=None, sha256=None))


def test_no_networks_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("AQAKIT_CACHE", str(tmp_path))
    with pytest.raises(WeightsError, match="aqakit weights get blazepose-heavy"):
        networks.locate(None, "heavy")


# The real networks


@pytest.fixture(scope="module")
def folder(shared_weights):
    pytest.importorskip("openvino", reason="the extra fast is not installed")
    if not (found := shared_weights / "blazepose").is_dir():
        pytest.skip(f"needs the networks of BlazePose in {found}")
    return found


@pytest.fixture(scope="module")
def nets(folder):
    return networks.Networks(bundles.read(folder, "lite"), 2)


@pytest.fixture(scope="module")
def golf(shared_videos):
    return shared_videos / "golf_swing.mp4"


@pytest.fixture(scope="module")
def swing(golf):
    return video.frames(golf, [140])[0]


def test_damaged_networks_are_refused(folder, tmp_path):
    content = (folder / "pose_detection.tflite").read_bytes()
    files = bundles.Files(tmp_path / "cut", content[: len(content) // 3], content)
    with pytest.raises(WeightsError, match=r"cut: OpenVINO cannot read one of its networks|cut: one of its networks"):
        networks.Networks(files)
    swapped = bundles.Files(tmp_path / "swapped", content, content)
    with pytest.raises(WeightsError, match="swapped: one of its networks is not of BlazePose"):
        networks.Networks(swapped)


@pytest.mark.slow
def test_a_bundle_gives_what_the_folder_gives(folder, nets, swing, tmp_path):
    files = bundles.read(folder, "lite")
    path = bundle(tmp_path / "a.task", pose_detector=files.detector, pose_landmarks_detector=files.landmarks)
    again = networks.Networks(bundles.read(path, "full"))
    region = nets.candidates(swing, 0.5)[0].region
    np.testing.assert_array_equal(again.joints(swing, region).points, nets.joints(swing, region).points)


def test_joints_are_those_of_a_direct_call_mapped_by_the_region(folder, nets, swing):
    openvino = pytest.importorskip("openvino")
    region = nets.candidates(swing, 0.5)[0].region
    seen = nets.joints(swing, region)
    model = openvino.Core().compile_model(
        folder / "pose_landmark_lite.tflite", "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    answer = model(cut(swing, region, 256)[None])
    raw = np.asarray(answer[0]).reshape(39, 5)[:, :2] / 256 - 0.5
    cos, sin = math.cos(region.turn), math.sin(region.turn)
    x = region.x + region.side * (cos * raw[:, 0] - sin * raw[:, 1])
    y = region.y + region.side * (sin * raw[:, 0] + cos * raw[:, 1])
    np.testing.assert_allclose(seen.points[:, :2], np.stack([x, y], 1), atol=0.05)
    assert seen.presence == pytest.approx(float(np.asarray(answer[1]).ravel()[0]), abs=1e-3)


def test_a_turned_picture_has_turned_joints_and_a_mirrored_one_the_other_sides(nets, swing):
    height, width = swing.shape[:2]

    def joints(picture):
        seen = nets.joints(picture, nets.candidates(picture, 0.5)[0].region)
        return nets.joints(picture, seen.next).points[:33, :2]

    upright = joints(swing)
    size = np.ptp(upright, 0).max()
    turned = joints(np.ascontiguousarray(np.rot90(swing, -1)))  # clockwise
    back = np.stack([turned[:, 1], height - turned[:, 0]], 1)
    assert np.median(np.linalg.norm(back - upright, axis=1)) < 0.02 * size
    mirrored = joints(np.ascontiguousarray(swing[:, ::-1]))[list(LAYOUT.mirrored)]
    mirrored[:, 0] = width - mirrored[:, 0]
    assert np.median(np.linalg.norm(mirrored - upright, axis=1)) < 0.05 * size


def test_a_picture_of_nobody_has_nobody(nets):
    assert nets.candidates(np.full((200, 300, 3), 128, np.uint8), 0.3) == []


@pytest.mark.slow
def test_the_golfer_is_found_in_every_frame(nets, golf):
    person = finding.find(golf, nets, threads=2)
    assert person.share >= 0.99
    assert np.diff(person.times) == pytest.approx(np.full(263, 1001 / 30000), abs=1e-4)
    size = np.ptp(person.joints[..., 1], 1).mean()
    steps = np.linalg.norm(np.diff(person.joints[:, 23:25, :2].mean(1), axis=0), axis=1)
    assert steps.max() < 0.1 * size  # hips do not jump


@pytest.mark.slow
def test_the_large_golfer_among_five_small_ones(nets, golf, tmp_path):
    """Spectators stand around, and are in the picture all the time; the large golfer walks through it."""
    pictures = video.frames(golf, range(0, 90, 1))
    rng = np.random.default_rng(1)
    with av.open(str(tmp_path / "crowd.mkv"), "w") as container:
        track = container.add_stream("ffv1", rate=30)
        track.height, track.width, track.pix_fmt = 480, 854, "bgr0"
        for k, picture in enumerate(pictures):
            stage = np.full((480, 854, 3), 128, np.uint8)
            for place in range(5):
                small = pictures[(k + 17 * place) % 90][::4, ::4]
                stage[20:143, 20 + 165 * place : 20 + 165 * place + small.shape[1]] = small
            large = picture[100:492, 60:300]
            left = 40 + 4 * k
            stage[85:477, left : left + 240] = np.clip(large + rng.normal(0, 1, large.shape), 0, 255)
            container.mux(track.encode(av.VideoFrame.from_ndarray(stage, "rgb24")))
        container.mux(track.encode(None))
    person = finding.find(tmp_path / "crowd.mkv", nets, threads=2)
    assert person.share > 0.95
    hips = person.joints[:, 23:25, :2].mean(1)
    inside = (hips[:, 0] > 40 + 4 * np.arange(90)) & (hips[:, 0] < 280 + 4 * np.arange(90)) & (hips[:, 1] > 150)
    assert inside[person.seen].all()


@pytest.mark.slow
def test_the_diver_is_the_subject_not_the_spectators(folder, shared_videos):
    """Where the diver is was marked by hand, to a quarter of the picture's height."""
    full = networks.Networks(bundles.read(folder, "full"), 2)
    person = finding.find(shared_videos / "aqa7_diving_054.avi", full, threads=2)
    assert 0.5 < person.share < 0.75  # the other frames show a face, or water
    marked = {10: (153, 125), 20: (170, 95), 30: (141, 95), 50: (165, 155), 55: (165, 185), 58: (170, 205)}
    off = [np.linalg.norm(person.joints[k, 23:25, :2].mean(0) - place) for k, place in marked.items() if person.seen[k]]
    assert len(off) >= 5
    assert max(off) < 60


def test_threads_see_the_same(nets, swing):
    region = nets.candidates(swing, 0.5)[0].region
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: nets.joints(swing, region).points, range(6)))
    assert all(np.array_equal(answers[0], one) for one in answers)
