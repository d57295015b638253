"""What training may know: labels of its own fold, folds by name, validation rows of the file, and changed data."""

import csv
import json

import pytest
import torch
from safetensors.torch import load_file

import aqakit
from aqakit import datasets
from aqakit.datasets import mtl_aqa
from aqakit.errors import DataError, OptionError, RunError
from aqakit.evaluation.benchmark import benchmark
from aqakit.training import batches
from aqakit.training.collating import collate
from aqakit.training.data import prepare
from aqakit.training.recipe import make_recipe
from aqakit.training.run_files import descriptions_json
from aqakit.types import Description, LabelSpec, Sample, ScoreScale
from tests.training.test_run import BACKBONE, make_manifest


def changed(file, name, change):
    """A copy of a manifest beside it, with every row changed by ``change(number, row)``."""
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    rows = [{**row, **change(number, row)} for number, row in enumerate(rows)]
    other = file.parent / name
    with other.open("w", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return other


def split_column(number, row):
    return {"split": ["train", "train", "train", "validation", "test"][number % 5]}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    """30 rows with judges, attributes and captions, of which every fifth is a test row."""

    def more(number, row):
        marks = {f"judge_{j}": round(float(row["score"]) / float(row["difficulty"]) + j, 2) for j in (1, 2)}
        part = "test" if number % 5 == 4 else "train"
        return {**marks, "twists": number % 3, "caption": f"number {number % 4}", "split": part}

    return changed(make_manifest(tmp_path_factory.mktemp("data")), "more.csv", more)


def train(file, out, method="dae", **options):
    more = {"epochs": 3, "members": 1} | options
    return aqakit.train(
        method, data="manifest", root=file, backbone=BACKBONE, out=out, cache=file.parent / "cache", **more
    )


@pytest.mark.parametrize(
    ("method", "options"),
    [("dae", {"target": "total"}), ("usdl", {}), ("dae", {"members": 3}), ("c3d_avg", {}), ("usdl", {"labels": "50%"})],
)
def test_no_test_label_changes_what_is_trained(manifest, tmp_path, method, options):
    def other_test(number, row):
        if row["split"] == "train":
            return {}
        said = {"judge_1": 99, "judge_2": 99, "twists": 7, "caption": "unheard of"}
        return {"score": 400, **said}

    runs = [
        train(file, tmp_path / file.stem, method, **options)
        for file in (manifest, changed(manifest, "other.csv", other_test))
    ]
    assert runs[0].labels == runs[1].labels
    assert runs[0].labels.attributes == {"twists": 3}
    assert "number" in runs[0].labels.vocabulary
    assert "unheard" not in runs[0].labels.vocabulary
    weights, others = (load_file(run.folder / "checkpoint.safetensors") for run in runs)
    assert weights.keys() == others.keys()
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    for name in ("epochs.safetensors", "calibrated.safetensors"):
        files = [run.folder / name for run in runs]
        assert files[0].exists() == (name == "epochs.safetensors" or options.get("members") == 3)
        assert not files[0].exists() or files[0].read_bytes() == files[1].read_bytes()
    assert set(runs[1].truth("test")) == {400.0}


def test_the_labels_of_a_run_are_those_of_its_labelled_training_samples(manifest):
    recipe = make_recipe("dae", data="manifest", root=manifest, backbone=BACKBONE, labels="50%")
    prepared = prepare(recipe, manifest.parent / "cache")
    split = prepared.split(recipe)
    known = [s for s in prepared.source.samples if s.id in split.labelled]
    scores, marks = [s.score for s in known], [mark for s in known for mark in s.judges]
    found = prepared.labels_of(recipe, split)
    assert (found.scale.low, found.scale.high) == (min(scores), max(scores))
    assert (found.marks.low, found.marks.high) == (min(marks), max(marks))
    totals = [s.score / s.difficulty for s in known]
    assert (found.total.low, found.total.high) == (min(totals), max(totals))
    everything = [s.score for s in prepared.source.samples]
    assert prepared.dataset.labels.scale == ScoreScale(min(everything), max(everything))


def test_limits_that_are_given_stay(manifest):
    given = datasets.load("manifest", manifest, low=0.0, high=104.5)
    assert given.labels_of(given.samples[:2]).scale == ScoreScale(0, 104.5)


def test_the_words_of_mtl_aqa_are_those_of_the_samples():
    samples = [Sample(id=str(i), sources={}, score=1.0, caption=c) for i, c in enumerate(["a dive", "a twist"])]
    assert set(mtl_aqa.labels(samples[:1]).vocabulary) == {"a", "dive", *mtl_aqa.UNSPOKEN}


LABELS = LabelSpec(ScoreScale(0, 1), attributes={"twists": 2}, vocabulary=("a", "dive"))
SEEN = Sample(id="seen", sources={}, score=1.0, attributes={"twists": 1}, caption="a dive")
UNSEEN = Sample(id="unseen", sources={}, score=1.0, attributes={"twists": 4}, caption="a new dive")


def test_classes_and_words_that_were_not_trained_on_are_unknown():
    batch = collate([SEEN, UNSEEN], LABELS, {})
    assert batch.attributes["twists"].tolist() == [1, -1]
    assert batch.caption.tolist() == [[0, 1], [0, 1]]


def test_what_cannot_be_predicted_is_judged_as_wrong():
    said = {"test": Description({"twists": torch.tensor([[0.0, 1.0], [0.0, 1.0]])}, ((0, 1), (0, 1)))}
    source = batches.CachedFeatures([SEEN, UNSEEN], collate([SEEN, UNSEEN], LABELS, {}))
    found = json.loads(descriptions_json(said, {"test": source}, LABELS))["test"]
    assert found["judged"]["accuracy_twists"] == 0.5
    assert found["judged"]["rouge_l"] < 1
    assert [s["caption"] for s in found["samples"]] == ["a dive", "a dive"]
    assert [s["true_twists"] for s in found["samples"]] == [1, 4]


def test_the_validation_rows_of_the_file_are_the_validation_set(manifest, tmp_path):
    file = changed(manifest, "validated.csv", split_column)
    run = train(file, tmp_path / "run", members=None, select="best-validation")
    assert run.recipe.members == 1
    assert run.ids("validation") == [f"r{i:02d}" for i in range(3, 30, 5)]
    assert run.ids("test") == [f"r{i:02d}" for i in range(4, 30, 5)]
    assert run.recalibration is not None
    prepared = prepare(run.recipe, manifest.parent / "cache")
    assert sorted(prepared.split(run.recipe).train) == [f"r{i:02d}" for i in range(30) if i % 5 < 3]


def test_validation_rows_and_other_held_out_samples_do_not_go_together(manifest, tmp_path):
    file = changed(manifest, "validated.csv", split_column)
    with pytest.raises(OptionError, match="has validation samples of its own; omit validation="):
        train(file, tmp_path / "run", validation=0.2)
    with pytest.raises(OptionError, match="for a single model; omit members="):
        train(file, tmp_path / "run", members=4)
    assert not (tmp_path / "run").exists()


def test_a_benchmark_selects_by_the_validation_rows(manifest):
    file = changed(manifest, "validated.csv", split_column)
    options = {"root": file, "backbones": [BACKBONE], "cache": manifest.parent / "cache", "epochs": 2}
    row = benchmark("manifest", methods=["regression"], rules=["best-validation"], **options).rows[0]
    assert row["rule"] == "best-validation"
    assert row["samples"] == 6


def test_groups_with_any_name_have_folders(manifest):
    file = changed(manifest, "grouped.csv", lambda number, row: {"group": f"club/{number % 2}"})
    options = {"root": file, "backbones": [BACKBONE], "cache": manifest.parent / "cache", "epochs": 1, "members": 1}
    out = manifest.parent / "out"
    table = benchmark("manifest", methods=["regression"], protocol="leave-one-group-out", out=out, **options)
    assert len(table.rows[0]["folds"]) == 2
    assert [p.name for p in sorted((out / "manifest" / "regression").iterdir())] == ["club+0-seed0", "club+1-seed0"]


WRONG = [
    ({"protocol": "splt"}, "no protocol 'splt'"),
    ({"fold": "splt"}, "no fold 'splt'"),
    ({"task": "vault"}, "one task, which has no name; omit task="),
]


@pytest.mark.parametrize(("wrong", "sentence"), WRONG)
def test_what_does_not_exist_is_refused_before_anything_is_read(manifest, tmp_path, wrong, sentence):
    options = {"root": manifest, "cache": tmp_path / "cache", "epochs": 1, **wrong}
    with pytest.raises(OptionError, match=sentence):
        aqakit.train("dae", data="manifest", backbone=BACKBONE, out=tmp_path / "run", **options)
    with pytest.raises(OptionError, match=sentence):
        benchmark("manifest", methods=["dae"], backbones=[BACKBONE], out=tmp_path / "bench", **options)
    assert not list(tmp_path.iterdir())


def test_a_benchmark_needs_folds_and_says_so_before_anything_is_read(manifest, tmp_path):
    options = {"root": manifest, "backbones": [BACKBONE], "cache": tmp_path / "cache", "out": tmp_path / "out"}
    with pytest.raises(OptionError, match="no protocol 'all'"):
        benchmark("manifest", methods=["dae"], protocol="all", **options)
    alone = changed(manifest, "alone.csv", lambda number, row: {"group": "one"})
    alone.write_text(alone.read_text().replace(",split", ",notes"))
    with pytest.raises(DataError):
        benchmark("manifest", methods=["dae"], **{**options, "root": alone})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "cells", [{"twists": 5}, {"caption": "another"}, {"group": "another"}, {"judge_1": 1, "judge_2": 1}]
)
def test_a_run_is_not_that_of_other_labels(manifest, tmp_path, cells):
    train(manifest, tmp_path / "run", epochs=1)
    same = changed(manifest, "same.csv", lambda number, row: {})
    recipe = make_recipe("dae", data="manifest", root=manifest, backbone=BACKBONE)
    kept, other = manifest.read_text(), changed(manifest, "cells.csv", lambda number, row: {} if number else cells)
    fingerprints = [
        prepare(make_recipe("dae", data="manifest", root=f, backbone=BACKBONE), manifest.parent / "cache").fingerprint
        for f in (manifest, same, other)
    ]
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]
    try:
        manifest.write_text(other.read_text())
        with pytest.raises(RunError, match="other settings or data"):
            train(manifest, tmp_path / "run", epochs=1)
    finally:
        manifest.write_text(kept)
    assert prepare(recipe, manifest.parent / "cache").fingerprint == fingerprints[0]
