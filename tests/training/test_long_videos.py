"""Which videos are summarised by default, decided on training rows alone, and that a run reads recordings the same."""

import csv
import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import aqakit
from aqakit.datasets.parts.loading import Dataset
from aqakit.errors import OptionError
from aqakit.evaluation import finished_run
from aqakit.evaluation.benchmark import benchmark
from aqakit.explanation.contributions import explain
from aqakit.methods import s3d
from aqakit.training import batches
from aqakit.training.batches import CachedFeatures, stack
from aqakit.training.collating import collate
from aqakit.training.data import PreparedData, prepare
from aqakit.training.folds import RunSplit
from aqakit.training.long_videos import LONG, WINDOWS, settle
from aqakit.training.recipe import Recipe, make_recipe
from aqakit.training.run import Run
from aqakit.types import LabelSpec, Sample, ScoreScale, Stream

WIDTH = 4
TRAIN, TEST = 12, 6
BACKBONE = f"precomputed:width={WIDTH}"


def write(folder, train=LONG + 8, test=LONG + 8):
    """Features of 18 videos, the last six to test on; each has about this many clips, and its spread is the score."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(TRAIN + TEST):
        score = rng.uniform(1, 9)
        clips = (train if number < TRAIN else test) + number % 3 - 1
        np.save(folder / f"{number}.npy", rng.normal(scale=score, size=(clips, WIDTH)).astype("float32"))
        split = "train" if number < TRAIN else "test"
        rows.append({"id": f"v{number}", "features": f"{number}.npy", "score": round(score, 3), "split": split})
    with (folder / "my.csv").open("w", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder / "my.csv"


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return write(tmp_path_factory.mktemp("long"))


def train(file, out, **options):
    given = {"epochs": 3, "members": 1} | options
    cache = file.parent / "cache"
    return aqakit.train("regression", data="manifest", root=file, backbone=BACKBONE, out=out, cache=cache, **given)


def test_a_long_video_is_read_as_if_the_options_were_given(manifest, tmp_path):
    run, told = train(manifest, tmp_path / "auto"), train(manifest, tmp_path / "told", summarise=5, standardise="yes")
    assert (run.recipe.summarise, run.recipe.standardise) == (WINDOWS, "yes") == (5, "yes")
    assert run.recipe == told.recipe
    weights, others = (load_file(one.folder / "checkpoint.safetensors") for one in (run, told))
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    assert not told.description["notes"]
    (note,) = run.description["notes"]
    assert f"{LONG + 8} clips" in note
    assert "--summarise 0" in note
    assert note in finished_run.evaluate_run(run)[1]
    loaded = Run.load(run.folder)
    for number, name in enumerate(run.ids("test"), TRAIN):
        expected = float(run.prediction("test").mean[number - TRAIN])
        assert name == f"v{number}"
        assert float(loaded.predict(manifest.parent / f"{number}.npy").mean) == pytest.approx(expected, abs=1e-4)


def test_what_a_method_reads_are_moments_of_each_window(manifest, tmp_path):
    run = train(manifest, tmp_path / "run")
    video = np.load(manifest.parent / "0.npy").astype(float)
    (read,) = run.embed([run.sample(manifest.parent / "0.npy")]).features.numpy()
    ends = [k * len(video) / WINDOWS for k in range(WINDOWS + 1)]
    shares = [video[int(np.floor(a)) : int(np.ceil(b))] for a, b in pairwise(ends)]
    moments = [np.concatenate([s.mean(0), s.std(0), np.abs(np.diff(s, axis=0)).mean(0)]) for s in shares]
    assert read == pytest.approx(np.array(moments), abs=0.02)  # the cache keeps float16
    known = [np.load(manifest.parent / f"{n}.npy") for n in range(TRAIN)]
    assert len(known) == len(run.training_summary.ids)
    scaling = run.assessor.first.scaling
    assert scaling.names == ("precomputed",)
    windows = [s.mean(0) for v in known for s in np.array_split(v, WINDOWS)]
    assert scaling.precomputed_mean[:WIDTH].numpy() == pytest.approx(np.mean(windows, 0), abs=0.3)


@pytest.mark.parametrize(("train_clips", "test_clips", "windows"), [(6, 400, 0), (LONG + 8, 6, WINDOWS)])
def test_only_training_rows_decide(tmp_path, train_clips, test_clips, windows):
    run = train(write(tmp_path, train_clips, test_clips), tmp_path / "run")
    assert run.recipe.summarise == windows
    assert run.recipe.standardise == ("yes" if windows else "auto")
    assert bool(run.description["notes"]) == bool(windows)


def test_every_clip_is_kept_if_the_user_says_so(manifest, tmp_path):
    run = train(manifest, tmp_path / "run", summarise=0)
    assert (run.recipe.summarise, run.recipe.standardise, run.description["notes"]) == (0, "auto", [])
    assert run.embed([run.sample(manifest.parent / "0.npy")]).features.shape == (1, LONG + 7, WIDTH)
    assert train(manifest, tmp_path / "no", standardise="no").recipe.standardise == "no"


def test_explanations_cover_the_recording_window_by_window(manifest, tmp_path):
    run = train(manifest, tmp_path / "run")
    found = explain(run, manifest.parent / "15.npy")
    clips = len(np.load(manifest.parent / "15.npy"))
    ends = [k * clips // WINDOWS for k in range(WINDOWS + 1)]
    assert [(part.first, part.last + 1) for part in found.clips] == list(pairwise(ends))
    assert sum(part.points for part in found.clips) == pytest.approx(found.prediction - found.baseline, abs=1e-4)


def test_a_benchmark_says_it_once_and_its_floor_reads_the_same(manifest):
    given = {"root": manifest, "backbones": [BACKBONE], "methods": ["regression", "usdl"], "cache": manifest.parent}
    shared = {"epochs": 2, "members": 1, "rules": ["last"]}
    table = benchmark("manifest", **given, **shared)
    told = benchmark("manifest", **given, **shared, summarise=5, standardise="yes")
    assert json.dumps(table.rows) == json.dumps(told.rows)  # as text, since NaN is not NaN
    (note,) = [one for one in table.notes if one not in told.notes]
    assert "regression, usdl" in note
    assert "summarised in 5 windows" in note


def test_a_benchmark_summarises_its_videos_once(manifest, monkeypatch):
    stacked = []
    monkeypatch.setattr(batches, "stack", lambda videos, windows: stacked.append(windows) or stack(videos, windows))
    options = {"root": manifest, "backbones": [BACKBONE], "cache": manifest.parent, "epochs": 1, "members": 1}
    benchmark("manifest", methods=["regression", "usdl"], seeds=2, rules=["last"], **options)
    assert sum(n > 0 for n in stacked) == 1


def made(clips, shape=(WIDTH,), streams=("one",)):
    """Prepared data of videos with that many clips, all of them to train on."""
    samples = tuple(Sample(id=str(n), sources={}, score=float(n)) for n in range(len(clips)))
    labels = LabelSpec(ScoreScale(0, 10, "points"))
    found = {name: Stream.stack([torch.ones(count, *shape) for count in clips]) for name in streams}
    dataset = Dataset("made", None, {}, samples, labels, {})
    source = CachedFeatures(samples, collate(samples, labels, found))
    ids = [s.id for s in samples]
    return PreparedData(dataset, source, [1.0] * len(ids), {}, ""), RunSplit("all", ids, ids, [], [])


def windows_of(recipe, prepared, split):
    settled, read, _ = settle(recipe, prepared, split)
    features = next(iter(read.source.all_rows.streams.values())).features
    assert (features.shape[1] == WINDOWS) == bool(settled.windows)
    return settled.summarise


AUTO = Recipe(method="regression", data="made", summarise="auto")


@pytest.mark.parametrize("clips", [[LONG] * 3, [LONG + 1] * 3, [5, LONG, LONG + 1, 90], [5, 40, 50], [1, 2, 900]])
def test_the_median_decides(clips):
    expected = WINDOWS if np.median(clips) > LONG else 0
    assert windows_of(AUTO, *made(clips)) == expected


def test_videos_without_a_score_and_members_count_as_training_rows():
    prepared, split = made([90, 90, 3, 3, 3])
    assert windows_of(AUTO, prepared, replace(split, train=["0", "1"], labelled=["0", "1"])) == WINDOWS
    assert windows_of(AUTO, prepared, replace(split, labelled=["0", "1"])) == 0


def test_maps_are_never_summarised():
    graph = replace(AUTO, method="st_gcn", options={"graph": "diver17"})
    assert windows_of(graph, *made([90, 90], (17, 3))) == 0


def test_streams_are_summarised_together():
    two = replace(AUTO, method="action_net")
    settled, read, _ = settle(two, *made([90, 90], streams=("dynamic", "static")))
    assert settled.windows == WINDOWS
    assert {s.features.shape for s in read.source.all_rows.streams.values()} == {(2, WINDOWS, 3 * WIDTH)}


def test_a_method_that_needs_the_clips_gets_them(tmp_path):
    prepared, split = made([90, 90])
    s3d.EDTCN(WIDTH, 5, filters=(4,), length=3).save(tmp_path / "stages.safetensors")
    segmented = {"segmenter": tmp_path / "stages.safetensors"}
    assert windows_of(replace(AUTO, method="s3d"), prepared, split) == WINDOWS
    assert windows_of(replace(AUTO, method="s3d", options=segmented), prepared, split) == 0
    base = f"s3d/fusion=mean/segmenter={tmp_path}/stages.safetensors"
    assert windows_of(replace(AUTO, method="vat", options={"base": base}), prepared, split) == 0


def test_the_option_is_checked_and_live_pixels_are_not_summarised(manifest):
    given = {"data": "manifest", "backbone": BACKBONE, "root": manifest}
    assert make_recipe("dae", **given).summarise == "auto"
    assert make_recipe("dae", **given, summarise="7").summarise == 7
    assert make_recipe("dae", **given, finetune=True).summarise == 0
    for wrong in ("some", "-1", 2.5, -3):
        with pytest.raises(OptionError, match=r"summarise: .*0 to keep every clip, or auto \(got"):
            make_recipe("dae", **given, summarise=wrong)
    with pytest.raises(OptionError, match="works on cached features"):
        prepare(make_recipe("dae", **{**given, "backbone": "c3d_small"}, finetune=True, summarise=5))


def test_a_recipe_of_an_earlier_version_is_read_as_it_was():
    stored = Recipe(method="dae", data="manifest").to_json()
    assert (stored["summarise"], stored["standardise"]) == (0, "auto")
    assert Recipe.from_json({**stored, "summarise": 5}).windows == 5
    assert Recipe.from_json(stored).windows == 0


def test_measures_without_weights_are_not_trained_from_pixels_but_may_be_augmented(tmp_path):
    given = {"data": "synthetic_dives:count=12:size=64", "backbone": "hog_hof:size=16", "root": tmp_path}
    with pytest.raises(OptionError, match="hog_hof without weights cannot be trained; omit finetune="):
        prepare(make_recipe("dae", **given, finetune=True), tmp_path / "cache")
    assert prepare(make_recipe("dae", **given, finetune=True, flip=True), tmp_path / "cache")
