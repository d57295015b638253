"""The embedded data set: the catalogue, the judges, the pixels and the files."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE, Popen

import av
import numpy as np
import pytest
from scipy.ndimage import maximum_filter
from scipy.stats import spearmanr

from aqakit import datasets
from aqakit.datasets import synthetic_dives
from aqakit.datasets.parts.dives import files, render
from aqakit.datasets.parts.dives.catalogue import ATTRIBUTES, WEIGHTS, difficulty, element, unusualness
from aqakit.datasets.parts.dives.judging import COMPONENTS, disagreement, merit, total_moments
from aqakit.datasets.parts.dives.motion import JOINTS
from aqakit.datasets.parts.dives.scene import Look
from aqakit.datasets.synthetic_dives import Dive, Execution
from aqakit.errors import DataError
from aqakit.types import Sample

FAIR = Execution(0.6, 0.7, 0.7, 0.8, 0.6)
SIZE = 64

# Degrees of difficulty declared in the platform finals of MTL-AQA.
DECLARED = {
    "103B": 1.6, "105B": 2.3, "107B": 3.0, "107C": 2.7, "109C": 3.7, "205B": 2.9, "207B": 3.6, "207C": 3.3,
    "305B": 2.9, "305C": 2.7, "307C": 3.4, "403B": 2.0, "405B": 2.8, "407B": 3.5, "407C": 3.2, "409C": 4.1,
    "5132D": 2.1, "5152B": 2.9, "5154B": 3.3, "5156B": 3.8, "5231D": 2.0, "5233D": 2.4, "5235D": 2.8, "5237D": 3.3,
    "5251B": 2.6, "5253B": 3.2, "5255B": 3.6, "5335D": 2.9, "5337D": 3.4, "612B": 1.9, "614B": 2.4, "6142D": 3.1,
    "6241D": 2.7, "6243D": 3.2, "6245D": 3.6, "626B": 3.5, "626C": 3.3, "636C": 3.4,
}  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dives")


@pytest.fixture(scope="module")
def samples(root: Path) -> list[Sample]:
    return synthetic_dives.samples(root, count=5, size=SIZE)


@pytest.fixture
def spied(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of the videos that are rendered."""
    made: list[str] = []

    def render(dive: Dive, path: Path, *, size: int) -> np.ndarray:
        made.append(path.stem)
        return synthetic_dives.render(dive, path, size=size)

    monkeypatch.setattr(files, "render", render)
    yield made
    files.read_index.cache_clear()


def pictures(dive: Dive, size: int = SIZE) -> np.ndarray:
    return np.stack([np.asarray(picture) for picture in render.frames(dive, size)[0]])


def dive(number: str = "107B", **changes: float) -> Dive:
    return Dive(number, replace(FAIR, **changes), event=3, seed=(0, 1))


@pytest.mark.parametrize(("number", "degree"), DECLARED.items())
def test_difficulty_is_the_declared_one(number: str, degree: float) -> None:
    assert difficulty(element(number)) == degree


def test_difficulty_spans_that_of_the_sport() -> None:
    degrees = [difficulty(element(number)) for number in WEIGHTS]
    assert (min(degrees), max(degrees)) == (1.3, 4.1)
    assert 30 * max(degrees) == pytest.approx(synthetic_dives.SCALE.high)


@pytest.mark.parametrize(
    ("number", "codes"),  # position, armstand, rotation type, half somersaults, half twists in MTL-AQA
    [("407C", (2, 0, 2, 7, 0)), ("5253B", (1, 0, 0, 5, 3)), ("307C", (2, 0, 3, 7, 0)), ("6142D", (0, 1, 1, 4, 2))],
)
def test_attributes_have_the_codes_of_mtl_aqa(number: str, codes: tuple[int, ...]) -> None:
    assert tuple(element(number).attributes.values()) == codes


def test_catalogue_uses_every_position_rotation_and_twist() -> None:
    seen = {name: {element(number).attributes[name] for number in WEIGHTS} for name in ATTRIBUTES}
    assert {name: len(values) for name, values in seen.items()} == {**ATTRIBUTES, "somersaults": 9}


@pytest.mark.parametrize("number", ["107B", "409C"])
def test_moments_are_those_of_a_plain_simulation(number: str) -> None:
    rng, what = np.random.default_rng(5), element(number)
    totals = []
    for _ in range(4000):
        panel, own = rng.normal(), rng.normal(size=7)
        raw = merit(FAIR) + disagreement(what) * 0.5**0.5 * (panel + own)
        totals.append(sum(sorted(min(10.0, max(0.0, round(2 * mark) / 2)) for mark in raw)[2:5]))
    assert total_moments(what, FAIR) == pytest.approx((np.mean(totals), np.std(totals)), rel=0.04)


def test_spread_grows_with_unusualness() -> None:
    dives = [element(number) for number in WEIGHTS]
    spread = [total_moments(d, FAIR)[1] for d in dives]
    assert spearmanr([unusualness(d) for d in dives], spread).statistic > 0.95


def test_scores_are_as_predictable_as_real_ones() -> None:
    rows = [synthetic_dives._row(d) for d in synthetic_dives.dives(600)]
    score, degree, mean = (np.array([row[name] for row in rows]) for name in ("score", "difficulty", "total_mean"))
    assert 0.4 < spearmanr(degree, score).statistic < 0.65  # MTL-AQA: 0.56
    assert spearmanr(degree * mean, score).statistic > 0.93
    assert spearmanr(mean, score / degree).statistic > 0.93
    assert np.percentile(score / degree, 5) < 11
    assert np.percentile(score / degree, 95) > 27


def test_judges_and_score_obey_the_rule(samples: list[Sample]) -> None:
    for sample in samples:
        assert sample.judges is not None
        assert all(mark * 2 == int(mark * 2) and 0 <= mark <= 10 for mark in sample.judges)
        total = sum(sorted(sample.judges)[2:5])
        assert sample.score == pytest.approx(total * (sample.difficulty or 0), abs=0.006)


def test_videos_decode_to_as_many_frames_as_the_index_says(samples: list[Sample]) -> None:
    folder = samples[0].sources["video"].parent
    rows = json.loads((folder / "index.json").read_text())["dives"]
    for sample, row in zip(samples, rows, strict=True):
        with av.open(sample.sources["video"]) as container:
            stream = container.streams.video[0]
            decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
            assert stream.average_rate == 30
        joints = synthetic_dives.truth(sample).joints
        assert len(decoded) == row["frames"] == len(joints)
        assert 96 <= len(decoded) <= 110
        assert decoded[0].shape == (SIZE, SIZE, 3)
        assert joints.shape[1:] == (len(JOINTS), 2)


def test_video_shows_the_frames_that_were_drawn(samples: list[Sample]) -> None:
    with av.open(samples[0].sources["video"]) as container:
        decoded = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    drawn = pictures(synthetic_dives.dives(1)[0])
    assert np.abs(decoded.astype(float) - drawn).mean() < 6


def test_truth_goes_with_the_sample(samples: list[Sample]) -> None:
    for sample, known in zip(samples, synthetic_dives.dives(5), strict=True):
        truth = synthetic_dives.truth(sample)
        assert truth.execution == known.execution
        assert truth.mean == pytest.approx(truth.total_mean * (sample.difficulty or 0))
        assert abs((sample.score or 0) - truth.mean) < 5 * truth.spread


def test_same_seed_same_pixels() -> None:
    first, second = synthetic_dives.dives(2, seed=4), synthetic_dives.dives(3, seed=4)[:2]
    assert first == second
    assert np.array_equal(pictures(first[0]), pictures(second[0]))
    assert not np.array_equal(pictures(first[0])[:90], pictures(synthetic_dives.dives(1, seed=5)[0])[:90])


@pytest.mark.parametrize("number", ["107B", "5253B", "626C", "201A"])
def test_joints_lie_on_the_figure(number: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pink = (255, 0, 255)
    monkeypatch.setattr(render, "diver_look", lambda rng, light: Look(pink, pink, pink, pink, pink))
    known = dive(number)
    joints = render.frames(known, 128)[1]
    before = int(known.timing.touch * 30) - 4
    seen = pictures(known, 128)[:before].astype(int)
    is_pink = np.minimum(seen[..., 0], seen[..., 2]) - seen[..., 1] > 60
    column, row = np.floor(joints[:before]).astype(int).transpose(2, 0, 1)
    moment = np.arange(before)[:, None]
    # Hands and feet are thin and blurred: the joint is in the middle of the exposure, next to where they are drawn.
    near = maximum_filter(is_pink, (1, 7, 7))
    assert is_pink[moment, row, column][:, :3].all()  # head, neck, pelvis
    assert near[moment, row, column].mean() > 0.97


@pytest.mark.parametrize("component", COMPONENTS[1:])
def test_one_component_changes_its_own_part_of_the_video(component: str) -> None:
    better, worse = (pictures(dive(**{component: value})).astype(int) for value in (1.0, 0.1))
    takeoff, touch = (int(moment * 30) for moment in (dive().timing.takeoff, dive().timing.touch))
    same_until = touch - 2 if component == "splash" else takeoff - 2
    assert np.array_equal(better[:same_until], worse[:same_until])
    changed = (np.abs(better - worse).max(-1) > 40).mean((1, 2))
    assert changed[touch:].max() > 0.005 if component in ("entry", "splash") else changed[takeoff:touch].max() > 0.01


def test_a_worse_entry_makes_a_bigger_splash() -> None:
    white = [(pictures(dive(splash=value)).min(-1)[-22:] > 200).mean() for value in (1.0, 0.6, 0.2)]
    assert white[0] < white[1] < white[2]
    assert white[2] > white[0] + 0.02  # of all pixels; the deck is white too


def test_a_higher_jump_lasts_longer() -> None:
    low, high = dive(height=0.1).timing, dive(height=1.0).timing
    # Free fall: up by h in √(2h/g), down by h + 10.2 in √(2(h + 10.2)/g), with h = 0.12 + 1.1 × height.
    assert high.touch - high.takeoff == pytest.approx((2 * 1.22 / 9.81) ** 0.5 + (2 * 11.42 / 9.81) ** 0.5)
    assert high.touch - high.takeoff > low.touch - low.takeoff + 0.2


def test_an_interrupted_rendering_goes_on(tmp_path: Path, spied: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    real = render.encode

    def stopped(*args: object) -> None:
        if len(spied) == 3:
            raise KeyboardInterrupt
        real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(files, "encode", stopped)
    with pytest.raises(KeyboardInterrupt):
        synthetic_dives.samples(tmp_path, count=5, size=SIZE)
    begun = set(spied)
    monkeypatch.setattr(files, "encode", real)
    found = synthetic_dives.samples(tmp_path, count=5, size=SIZE)
    folder = found[0].sources["video"].parent
    assert len(spied) == 6  # five dives, and the one that was stopped once more
    assert set(spied) == {sample.id for sample in found} > begun
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["index.json"] + [f"{sample.id}.{end}" for sample in found for end in ("mp4", "npy")]
    )


def test_only_what_is_missing_is_rendered(root: Path, samples: list[Sample], spied: list[str]) -> None:
    assert synthetic_dives.samples(root, count=5, size=SIZE) == samples
    assert not spied
    video = samples[2].sources["video"]
    before = video.read_bytes()
    video.unlink()
    synthetic_dives.samples(root, count=5, size=SIZE)
    assert spied == [samples[2].id]
    assert video.read_bytes() == before


@pytest.mark.slow
def test_processes_render_the_same_files(
    tmp_path: Path, samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_WORTH_A_PROCESS", 1)
    monkeypatch.setattr(files, "cores", lambda: 2)
    for ours, theirs in zip(samples, synthetic_dives.samples(tmp_path, count=5, size=SIZE), strict=True):
        assert ours.sources["video"].read_bytes() == theirs.sources["video"].read_bytes()
        assert ours.sources["skeleton"].read_bytes() == theirs.sources["skeleton"].read_bytes()


def test_a_process_that_ends_early_is_reported(tmp_path: Path) -> None:
    idle: files.SimpleQueue[Popen[bytes]] = files.SimpleQueue()
    with Popen([sys.executable, "-S", "-c", ""], stdin=PIPE, stdout=PIPE, bufsize=0) as process:
        process.wait()
        idle.put(process)
        with pytest.raises(DataError, match="run again: the dives already there are kept"):
            files._ask(idle, tmp_path, "dive-00000")


def test_a_damaged_index_is_one_sentence(tmp_path: Path) -> None:
    folder = synthetic_dives.samples(tmp_path, count=1, size=SIZE)[0].sources["video"].parent
    (folder / "index.json").write_text('{"dives": [')
    files.read_index.cache_clear()
    with pytest.raises(DataError, match="delete it and run again"):
        synthetic_dives.samples(tmp_path, count=1, size=SIZE)


def test_a_root_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="give another root"):
        synthetic_dives.samples(tmp_path / "file", count=1, size=SIZE)


def test_default_root_is_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AQAKIT_CACHE", str(tmp_path))
    (sample,) = datasets.load("synthetic_dives", count=1, size=SIZE).samples
    assert tmp_path / "synthetic_dives" in sample.sources["video"].parents


def test_splits_are_a_fifth_and_hold_out_whole_events() -> None:
    everything = [
        Sample(f"dive-{number:05d}", {}, group=f"event-{known.event:02d}")
        for number, known in enumerate(synthetic_dives.dives(200))
    ]
    protocols = synthetic_dives.splits(everything, None)
    assert list(protocols) == ["standard", "event-held-out"]
    for (fold,) in protocols.values():
        assert {*fold.train, *fold.test} == {sample.id for sample in everything}
        assert not {*fold.train} & {*fold.test}
    assert len(protocols["standard"][0].test) == 40
    group = {sample.id: sample.group for sample in everything}
    fold = protocols["event-held-out"][0]
    assert not {group[name] for name in fold.train} & {group[name] for name in fold.test}
