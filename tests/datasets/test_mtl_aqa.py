"""MTL-AQA: the real annotations against their published counts, and the whole pipeline on stand-in frames."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import aqakit
from aqakit import datasets
from aqakit.datasets import mtl_aqa
from aqakit.datasets.parts import health
from aqakit.errors import DataError, OptionError
from aqakit.evaluation.benchmark import benchmark
from aqakit.evaluation.finished_run import evaluate_run
from aqakit.features.dataset import extract_dataset
from aqakit.recordings import pickles
from tests.releases import mtl_aqa_dives, write_mtl_aqa

SMALL = "c3d_small:size=16:frames=8:width=2"
NUMBERED = "final_annotations_dict_with_dive_number.pkl"
JUDGES = "augmented_final_annotations_dict.pkl"


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mtl_aqa(tmp_path_factory.mktemp("mtl"))


@pytest.fixture(scope="module")
def by_event(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mtl_aqa(tmp_path_factory.mktemp("events"), "events")


@pytest.fixture(scope="module")
def real(shared_data: Path) -> datasets.Dataset:
    return datasets.load("mtl_aqa", shared_data / "mtl-aqa")


def test_the_real_annotations(real: datasets.Dataset) -> None:
    """Counts as published, or found in the files: FACTS of the release, not of this loader."""
    assert real.root is not None
    (official,) = real.folds()
    (unlv,) = real.folds("unlv-dive")
    assert (len(real.samples), len({s.group for s in real.samples})) == (1412, 15)
    assert (len(official.train), len(official.test)) == (1059, 353)
    assert (len(unlv.train), len(unlv.test), len(set(unlv.test) & set(official.train))) == (299, 70, 49)
    assert [len(real.folds(f"size-{n}")[0].train) for n in (140, 280, 450)] == [143, 279, 443]
    assert max(s.score or 0 for s in real.samples) == 104.5
    assert next(s for s in real.samples if s.id == "01_01").window == (7462 - 103, 7461)
    words = json.loads(next(real.root.rglob("MTL-AQA_split_0_data/vocab.json")).read_text())["word_to_ix"]
    assert len(words) == 5781
    assert set(real.labels.vocabulary) == set(words) - {"<sos>", "<eos>"}


@pytest.mark.slow
def test_the_smaller_sets_say_nothing_new(shared_data: Path) -> None:
    """Their annotations and captions are those of the whole, so that only their lists of dives need be read."""
    folder = shared_data / "mtl-aqa" / "Ready_2_Use"
    for name in ("final_annotations_dict.pkl", "final_captions_dict.pkl"):
        whole = pickles.load(folder / "MTL-AQA_split_0_data" / name)
        for path in folder.rglob(name):
            assert all(whole[key] == value for key, value in pickles.load(path).items())


@pytest.mark.slow
def test_the_two_files_with_judges_differ_in_one_mark(shared_data: Path) -> None:
    mtl, numbered = (
        datasets.load("mtl_aqa", shared_data / "mtl-aqa", annotations=name) for name in ("judges", "dive-number")
    )
    pairs = [(a, b) for a, b in zip(mtl.samples, numbered.samples, strict=True) if a.judges != b.judges]
    assert [(a.id, a.judges[3], b.judges[3]) for a, b in pairs if a.judges and b.judges] == [("04_49", 45, 4.5)]
    assert numbered.labels.attributes == {**mtl_aqa.ATTRIBUTES, "dive_number": 58}
    plain = datasets.load("mtl_aqa", shared_data / "mtl-aqa", annotations="plain").labels
    assert (plain.judges, plain.rule, plain.marks) == (0, None, None)


def test_check_tells_the_known_errors(real: datasets.Dataset) -> None:
    report = health.check(real)
    counts = {finding.sentence.split(" (")[0]: len(finding.subjects) for finding in report.found}
    assert counts["scores that do not follow the rule diving"] == 28
    assert counts["marks far from the other marks of the same judge"] == 1
    assert counts["dives shorter than the published window of 103 frames, which starts before them"] == 758
    assert counts["test dives of unlv-dive"] == 49
    assert counts["captions of dives without annotations"] == 4
    assert counts["official: groups in both the training and the test set"] == 15
    assert not any("event-held-out" in sentence for sentence in counts)
    assert report.ok  # all of these are warnings


@pytest.mark.slow
def test_floors_without_video(real: datasets.Dataset) -> None:
    table = benchmark("mtl_aqa", methods=[], backbones=[], root=real.root)
    found = {row["method"]: row["spearman"] for row in table.rows}
    assert round(found["floor: difficulty only"], 4) == 0.5595
    assert round(found["ceiling: judges' rule"], 5) == 0.99985
    tested = set(real.folds()[0].test)
    dives = [s for s in real.samples if s.id in tested]
    middle = [sum(sorted(s.judges or ())[2:5]) * (s.difficulty or 0) for s in dives]
    assert found["ceiling: judges' rule"] == pytest.approx(stats.spearmanr([s.score for s in dives], middle).statistic)


def test_floors_alone_take_no_other_option(release: Path) -> None:
    with pytest.raises(OptionError, match="epochs"):
        benchmark("mtl_aqa", methods=[], backbones=[], root=release, epochs=3)
    with pytest.raises(OptionError, match="no backbone was named"):
        benchmark("mtl_aqa", methods=["dae"], backbones=[], root=release)
    with pytest.raises(OptionError, match="no method was named"):
        benchmark("mtl_aqa", methods=[], backbones=[SMALL], root=release)
    rows = benchmark("mtl_aqa", methods=[], backbones=[], root=release).rows
    assert "ceiling: judges' rule" not in {row["method"] for row in rows}  # here the rule gives every score


def test_a_sample_is_what_the_files_say(release: Path) -> None:
    loaded = datasets.load("mtl_aqa", release, annotations="dive-number", window="annotated")
    for sample, ((event, dive), facts) in zip(loaded.samples, mtl_aqa_dives().items(), strict=True):
        assert (sample.id, sample.group) == (f"{event:02d}_{dive:02d}", f"event-{event:02d}")
        assert (sample.score, sample.difficulty) == (facts["final_score"], facts["difficulty"])
        assert sample.judges == tuple(facts["judge_scores"])
        assert sample.window == (facts["start_frame"], facts["end_frame"] - 1)
        assert (sample.attributes["somersaults"], sample.attributes["dive_number"]) == (facts["ss_no"], dive - 1)
        assert sample.caption == f"a dive number-{dive}"
        assert (sample.kind, sample.steps[0], len(sample.steps)) == (f"{100 + dive}B", "forward", 3)
    assert {"a", "dive", "number-1", *mtl_aqa.UNSPOKEN} <= set(loaded.labels.vocabulary)


def test_what_is_no_dive_number_is_said(tmp_path: Path) -> None:
    root = _dumped(NUMBERED, {(1, 1): mtl_aqa_dives()[1, 1] | {"dive_number": "x"}})(write_mtl_aqa(tmp_path))
    with pytest.raises(DataError, match=r"dive \(1, 1\) has no dive number, but 'x'"):
        datasets.load("mtl_aqa", root, annotations="dive-number")


def test_protocols(release: Path) -> None:
    loaded = datasets.load("mtl_aqa", release)
    events = {s.id: s.group for s in loaded.samples}
    held_out = loaded.folds("event-held-out")
    assert sorted(i for fold in held_out for i in fold.test) == sorted(events)
    for fold in held_out:
        assert not {events[i] for i in fold.train} & {events[i] for i in fold.test}
    (official,), (small,), (unlv,) = (loaded.folds(name) for name in ("official", "size-140", "unlv-dive"))
    assert set(official.test) - set(small.test) == set(official.test) & set(small.train) == {"01_04"}
    assert "02_99" not in {*unlv.train, *unlv.test}  # it has no annotation


@pytest.mark.parametrize("window", ["published103", "annotated"])
def test_windows_are_the_pictures_that_the_published_loaders_read(by_event: Path, window: str) -> None:
    for sample in datasets.load("mtl_aqa", by_event, window=window).samples:
        pictures = sorted(sample.sources["video"].glob("*.jpg"))
        facts = mtl_aqa_dives()[int(sample.id[:2]), int(sample.id[3:])]
        start = facts["end_frame"] - 103 if window == "published103" else facts["start_frame"]
        assert sample.window is not None
        assert pictures[sample.window[0] : sample.window[1] + 1] == pictures[start : facts["end_frame"]]


@pytest.mark.parametrize("layout", ["dives", "events", "files"])
def test_the_whole_pipeline_on_stand_in_frames(tmp_path: Path, by_event: Path, layout: str) -> None:
    root = by_event if layout == "events" else write_mtl_aqa(tmp_path / "release", layout)  # type: ignore[arg-type]
    cache = tmp_path / "cache"
    assert health.check(datasets.load("mtl_aqa", root)).about("windows") == []
    done = extract_dataset("mtl_aqa", root=root, backbones=[SMALL], cache=cache)
    assert (done.recordings, done.short, done.failures) == (15, 0, {})
    run = aqakit.train("dae", data="mtl_aqa", root=root, backbone=SMALL, epochs=1, cache=cache, out=tmp_path / "run")
    rows, _ = evaluate_run(run)
    assert len(run.truth("test")) == 3
    assert all(np.isfinite(row["mae"]) for row in rows)
    assert np.isfinite(run.predict(next((root / "frames").iterdir())).mean)


def test_a_dive_of_its_own_comes_first_and_videos_may_be_elsewhere(release: Path, tmp_path: Path) -> None:
    for name in ("01", "01_03"):
        (tmp_path / name).mkdir()
    found = {s.id: s for s in datasets.load("mtl_aqa", release, videos=tmp_path).samples}
    assert found["01_03"].sources["video"] == tmp_path / "01_03"
    assert found["01_03"].window == (0, 102)
    assert found["01_02"].sources["video"] == tmp_path / "01"
    assert found["02_03"].sources == {}
    with pytest.raises(DataError, match="the option videos"):
        datasets.load("mtl_aqa", release, videos=tmp_path / "nowhere")


def _dumped(name: str, content: object) -> Callable[[Path], Path]:
    def write(root: Path) -> Path:
        (root / name).write_bytes(pickle.dumps(content))
        return root

    return write


def _without(name: str) -> Callable[[Path], Path]:
    def remove(root: Path) -> Path:
        next(root.rglob(name)).unlink()
        return root

    return remove


def _spoilt(**facts: object) -> Callable[[Path], Path]:
    dives = mtl_aqa_dives()
    return _dumped(JUDGES, {**dives, (1, 1): dives[1, 1] | facts})


class _Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("executed",)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda root: None, "mtl_aqa needs root"),
        (lambda root: root / "nowhere", "is not a folder"),
        (_without(JUDGES), "MUSDL, or choose annotations=plain"),
        (_without("test_split_0.pkl"), "test_split_0.pkl is missing"),
        (_dumped(JUDGES, [1, 2]), "does not hold annotations"),
        (_dumped(JUDGES, {"dive": {}}), "by event and number"),
        (_dumped("test_split_0.pkl", 3), "by event and number"),
        (_dumped("final_captions_dict.pkl", {(1, 1): 3}), "lists of words"),
        (_dumped(JUDGES, _Harmful()), "nothing was executed"),
        (_spoilt(final_score="high"), r"dive \(1, 1\) has no number final_score"),
        (_spoilt(position=7), r"dive \(1, 1\) has an attribute class out of range"),
        (_spoilt(judge_scores=np.ones(6)), r"dive \(1, 1\) does not have 7 marks"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, spoil: Callable[[Path], Path], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence) as caught:
        datasets.load("mtl_aqa", spoil(write_mtl_aqa(tmp_path)))
    assert len(str(caught.value).splitlines()) == 1
