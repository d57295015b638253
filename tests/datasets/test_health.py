from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aqakit import datasets
from aqakit.datasets.parts import health
from aqakit.datasets.parts.loading import Dataset
from aqakit.recordings import pickles
from aqakit.types import LabelSpec, Sample, ScoreScale, Split
from tests.releases import write_jigsaws, write_manifest, write_video


def dataset(samples: list[Sample], folds: list[Split] | None = None, **labels: object) -> Dataset:
    spec = LabelSpec(ScoreScale(0, 100), **labels)  # type: ignore[arg-type]
    return Dataset("mine", None, {}, tuple(samples), spec, {"fold": tuple(folds or [Split("1", ("a",), ("b",))])})


def subjects(report: health.HealthReport, check: str) -> list[set[str]]:
    return [set(finding.subjects) for finding in report.about(check)]


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "good.avi", frames=10)


def test_a_healthy_data_set_has_counts_and_no_findings(tmp_path: Path) -> None:
    loaded = datasets.load("manifest", write_manifest(tmp_path))
    report = health.check(loaded)
    scores = [s.score for s in loaded.samples]
    (row,) = report.rows()
    assert report.findings == []
    assert report.ok
    assert (row["samples"], row["labelled"], row["groups"], row["video"]) == (12, 12, 3, 12)
    assert (row["shortest"], row["longest"]) == (4, 4)
    assert (row["low"], row["mean"], row["high"]) == (
        min(scores),
        pytest.approx(np.mean(scores)),
        max(scores),
    )
    (task,) = report.tasks
    assert list(task.histogram) == np.histogram(scores, 10)[0].tolist()
    assert len(row["histogram"]) == 10


def test_one_row_per_task_and_the_surgeons_who_straddle(tmp_path: Path) -> None:
    report = health.check(datasets.load("jigsaws", write_jigsaws(tmp_path)))
    assert [(r["task"], r["samples"], r["signal"]) for r in report.rows()] == [
        ("Suturing", 6, 6),
        ("Knot_Tying", 5, 5),
    ]
    straddling = {f.sentence.split(":")[0] for f in report.about("groups")}
    assert straddling == {
        "four-fold",
        "leave-one-supertrial-out",
    }  # by its very design, never leave-one-user-out
    assert report.ok  # a warning is no error


def test_files_that_cannot_be_used(tmp_path: Path, video: Path) -> None:
    (tmp_path / "text.avi").write_text("no video at all")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "bad.txt").write_text("1 2 3\n4 x 6\n")
    paths = {"a": "good.avi", "b": "gone.avi", "c": "text.avi", "d": "empty.mp4"}
    samples = [Sample(name, {"video": tmp_path / file}, score=1.0 + i) for i, (name, file) in enumerate(paths.items())]
    samples.append(Sample("e", {"signal": tmp_path / "bad.txt"}, score=9.0))
    samples.append(Sample("f", {}, score=9.0))
    report = health.check(dataset(samples))
    assert subjects(report, "missing") == [{str(tmp_path / "gone.avi")}, {"f"}]
    assert subjects(report, "undecodable") == [{str(tmp_path / f) for f in ("text.avi", "empty.mp4", "bad.txt")}]
    assert "line 2" in report.about("undecodable")[0].sentence
    assert not report.ok
    assert report.tasks[0].longest == 10


def test_copies_and_windows(tmp_path: Path, video: Path) -> None:
    copy = tmp_path / "copy.avi"
    copy.write_bytes(video.read_bytes())
    other = write_video(tmp_path / "other.avi", frames=10, seed=1)
    other.write_bytes(other.read_bytes().ljust(video.stat().st_size, b"\0"))  # the same size is not the same content
    named = {
        "a": (video, None),
        "b": (copy, None),
        "c": (other, None),
        "d": (video, (2, 9)),
        "e": (video, (2, 10)),
    }
    samples = [Sample(name, {"video": path}, window, score=50.0 + len(name)) for name, (path, window) in named.items()]
    report = health.check(dataset(samples, [Split("1", ("a", "c"), ("b",))]))
    assert subjects(report, "duplicates") == [{"a = b"}, {"a = b"}]
    assert [f.severity for f in report.about("duplicates")] == [
        "error",
        "warning",
    ]  # they stand on both sides
    assert subjects(report, "windows") == [{"e"}]
    assert "frames 2 to 10 of 10" in report.about("windows")[0].sentence
    apart = health.check(dataset(samples, [Split("1", ("a", "b"), ("c",))]))
    assert [f.severity for f in apart.about("duplicates")] == ["warning"]


def test_folders_of_frames_are_compared_by_content(tmp_path: Path) -> None:
    for folder, seed in (("x", 0), ("y", 0), ("z", 1)):
        (tmp_path / folder).mkdir()
        for k in range(2):
            picture = np.random.default_rng([seed, k]).integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(picture).save(tmp_path / folder / f"{k:03}.bmp")  # of one size, whatever they show
    samples = [Sample(name, {"video": tmp_path / name}, score=float(k)) for k, name in enumerate("xyz")]
    assert subjects(health.check(dataset(samples)), "duplicates") == [{"x = y"}]


def test_labels_and_folds_that_cannot_be(video: Path) -> None:
    scores = {"a": 101.0, "b": 50.0, "c": None, "d": -0.5, "e": 100.0}
    samples = [Sample(name, {"video": video}, (k, 9), score=score) for k, (name, score) in enumerate(scores.items())]
    samples[0] = replace(samples[0], group="early")
    samples[1] = replace(samples[1], group="early")
    samples.append(replace(samples[1], window=(7, 9)))
    folds = [Split("1", ("a", "d", "e"), ("b", "e")), Split("2", ("a", "x"), ()), Split("3", ("c",), ("d",))]
    report = health.check(dataset(samples, folds))
    assert subjects(report, "ids") == [{"b"}]
    assert subjects(report, "scale") == [{"a", "d"}]
    assert subjects(report, "unlabelled") == [{"c"}]
    assert subjects(report, "splits") == [{"e"}, {"x"}, {"2"}]
    assert subjects(report, "groups") == [{"early"}]
    order = [severity for severity, _ in report.findings]
    assert order == sorted(order, key=("error", "warning", "note").index)


def test_mtl_aqa_has_28_scores_that_break_the_rule_and_one_mark_of_45(shared_data: Path) -> None:
    """Counts found in the released annotations: 28 of 1412 scores, and judge 4 of dive (4, 49) at 45 for 4.5."""
    released = pickles.load(shared_data / "mtl-aqa" / "augmented_final_annotations_dict.pkl")
    samples = [
        Sample(
            f"{video}-{dive}",
            {},
            score=float(labels["final_score"]),
            judges=tuple(map(float, labels["judge_scores"])),
            difficulty=float(labels["difficulty"]),
            group=str(video),
        )
        for (video, dive), labels in released.items()
    ]
    report = health.check(dataset(samples, [Split("1", ("1-1",), ("1-2",))], judges=7, rule="diving"))
    (broken,) = report.about("rule")
    assert len(broken.subjects) == 28
    assert "1-70" in broken.subjects
    assert subjects(report, "judges") == [{"4-49"}]


@pytest.mark.slow
def test_jigsaws_is_healthy(shared_data: Path) -> None:
    report = health.check(datasets.load("jigsaws", shared_data / "jigsaws"))
    assert [(r["samples"], r["video"], r["signal"]) for r in report.rows()] == [(39, 39, 38), (36, 36, 36)]
    assert {f.check for f in report.found} == {"groups"}
