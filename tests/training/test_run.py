"""Runs end to end on small recordings that the test makes: train, resume, load, predict, refuse."""

import csv
import json
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import aqakit
from aqakit.datasets.parts.splits import train_validation_split
from aqakit.errors import AqakitError, DataError, OptionError, RunError, WeightsError
from aqakit.training import loop
from aqakit.training.data import prepare
from aqakit.training.recipe import Recipe, make_recipe
from aqakit.training.train import execute
from aqakit.types import Sample
from tests.forks import fork, kill_when


def make_manifest(folder, count=30, difficulty=True):
    """Signals whose speed is the score: a CSV of ``count`` recordings in three groups."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(count):
        quality = rng.uniform(1, 9)
        np.save(folder / f"{i}.npy", np.cumsum(rng.normal(size=(120, 4)) * quality, 0).astype("float32"))
        degree = rng.uniform(1.5, 3.5)
        row = {"id": f"r{i:02d}", "path": f"{i}.npy", "score": round(quality * degree, 3), "group": f"g{i % 5}"}
        rows.append(row | ({"difficulty": round(degree, 2)} if difficulty else {}))
    return write_rows(folder / "my.csv", rows)


def write_rows(file, rows):
    with file.open("w", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return file


BACKBONE = "kinematics:channels=4:features=statistics:windows=3"


@pytest.fixture
def manifest(tmp_path):
    return make_manifest(tmp_path)


def train(manifest, out, method="dae", **options):
    given = {"epochs": 4, "validation": 0.2} | options
    cache = manifest.parent / "cache"
    return aqakit.train(method, data="manifest", root=manifest, backbone=BACKBONE, out=out, cache=cache, **given)


def test_a_run_is_written_loaded_and_predicts_what_it_wrote(manifest, tmp_path):
    run = train(manifest, tmp_path / "run")
    assert sorted(p.name for p in run.folder.iterdir()) == [
        "checkpoint.safetensors",
        "descriptions.json",
        "epochs.safetensors",
        "exemplars.safetensors",
        "predictions.csv",
        "recalibration.json",
        "run.json",
        "training.json",
    ]
    assert run.splits() == ["validation", "test"]
    assert len(run.epochs("test")) == 4
    loaded = aqakit.load(run.folder)
    name = run.ids("test")[0]
    answer = loaded.predict(manifest.parent / f"{int(name[1:])}.npy")
    kept = run.prediction("test", recalibrated=True).select(0)
    assert answer.mean == pytest.approx(float(kept.mean), rel=1e-4, abs=1e-4)
    low, high = answer.interval(0.9)
    assert low < answer.mean < high


def test_validation_and_training_share_no_group(manifest, tmp_path):
    run = train(manifest, tmp_path / "run")
    groups = {f"r{i:02d}": f"g{i % 5}" for i in range(30)}
    held = {groups[i] for i in run.ids("validation")}
    recipe = run.recipe
    fold = next(f for f in prepare(recipe, manifest.parent / "cache").dataset.folds() if f.name == recipe.fold)
    learnt = {groups[i] for i in fold.train} - held
    assert held
    assert not held & learnt
    assert not {groups[i] for i in fold.test} & (learnt | held)


def test_total_is_the_exact_affine_image_and_needs_a_difficulty(manifest, tmp_path):
    run = train(manifest, tmp_path / "run", target="total", validation=0.0, members=1)
    recording = manifest.parent / "0.npy"
    single, double = run.predict(recording, difficulty=1.0), run.predict(recording, difficulty=2.0)
    torch.testing.assert_close(double.mean, 2 * single.mean)
    for level in (0.2, 0.5, 0.8):
        torch.testing.assert_close(double.quantile(level), 2 * single.quantile(level))
    with pytest.raises(DataError, match="difficulty"):
        run.predict(recording)


def test_difficulty_one_makes_total_equal_score(tmp_path):
    file = make_manifest(tmp_path, difficulty=False)
    rows = file.read_text().splitlines()
    ones = tmp_path / "ones.csv"
    ones.write_text("\n".join([rows[0] + ",difficulty", *(row + ",1" for row in rows[1:])]) + "\n")
    answers = [train(ones, tmp_path / t, target=t).prediction("test") for t in ("score", "total")]
    torch.testing.assert_close(answers[0].mean, answers[1].mean)


def test_a_second_run_does_nothing_and_another_recipe_is_refused(manifest, tmp_path):
    first = train(manifest, tmp_path / "run")
    written = (first.folder / "run.json").stat().st_mtime_ns
    train(manifest, tmp_path / "run")
    assert (first.folder / "run.json").stat().st_mtime_ns == written
    with pytest.raises(RunError, match="other settings or data"):
        train(manifest, tmp_path / "run", epochs=5)


def test_a_run_of_a_version_without_frame_storage_goes_on(manifest, tmp_path, monkeypatch):
    whole = Recipe.to_json
    with monkeypatch.context() as earlier:
        earlier.setattr(Recipe, "to_json", lambda self: {k: v for k, v in whole(self).items() if k != "frame_storage"})
        first = train(manifest, tmp_path / "run")
    assert "frame_storage" not in json.loads((first.folder / "run.json").read_text())["recipe"]
    written = (first.folder / "run.json").stat().st_mtime_ns
    assert train(manifest, tmp_path / "run").recipe.frame_storage == "raw"
    assert (first.folder / "run.json").stat().st_mtime_ns == written


def test_protocol_all_learns_from_everything(manifest, tmp_path):
    run = train(manifest, tmp_path / "run", protocol="all", validation=0.0)
    assert run.splits() == ["held-out"]
    assert len(run.ids("held-out")) == 30
    assert run.predict(manifest.parent / "0.npy").std > 0


def test_two_backbones_of_one_name_are_two_streams(manifest, tmp_path):
    whole = BACKBONE.replace("windows=3", "windows=1")
    run = aqakit.train(
        "tsn",
        data="manifest",
        root=manifest,
        backbone=[BACKBONE, whole],
        out=tmp_path / "run",
        cache=tmp_path,
        epochs=1,
    )
    streams = run.embed([run.sample(manifest.parent / "0.npy")]).streams
    assert {name: stream.features.shape[1] for name, stream in streams.items()} == {"kinematics": 3, "kinematics_2": 1}


def test_recipe_survives_json(manifest):
    recipe = make_recipe(
        "dae", data="manifest", root=manifest, backbone=BACKBONE, alpha="0.5", hidden="32,16", epochs=3
    )
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))).to_json() == recipe.to_json()
    assert recipe.options["hidden"] == (32, 16)


def test_every_bad_option_is_named():
    with pytest.raises(OptionError, match=r"alfa.*did you mean 'alpha'"):
        make_recipe("dae", data="jigsaws", backbone="kinematics", alfa=1)
    with pytest.raises(OptionError, match="epochs: input should be greater than 0"):
        make_recipe("dae", data="jigsaws", backbone="kinematics", epochs=0)
    with pytest.raises(OptionError, match="did you mean 'dae'"):
        make_recipe("dea", data="jigsaws", backbone="kinematics")


def test_unreadable_recordings_are_left_out_and_named(manifest, tmp_path):
    (manifest.parent / "3.npy").write_bytes(b"broken")
    run = train(manifest, tmp_path / "run")
    assert list(run.description["failures"]) == ["r03"]


@pytest.mark.parametrize("name", ["checkpoint.safetensors", "run.json", "recalibration.json"])
@pytest.mark.parametrize("content", [b"", b"\x80\x04]", b"{}", b"text", b"[1]"])
def test_a_damaged_run_is_a_sentence(manifest, tmp_path, name, content):
    run = train(manifest, tmp_path / "run")
    (run.folder / name).write_bytes(content)
    with pytest.raises((RunError, WeightsError), match=name.split(".")[0]):
        aqakit.load(run.folder)


def test_a_missing_run_is_a_sentence(tmp_path):
    with pytest.raises(RunError, match="not a run folder"):
        aqakit.load(tmp_path)


LONG = {"epochs": 60, "dropout": 0.3}


def test_killed_at_any_moment_and_run_again_gives_the_same_bits(manifest, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "_SECONDS_BETWEEN_CHECKPOINTS", 0.05)
    running = fork(lambda: train(manifest, tmp_path / "killed", **LONG))
    kill_when(running, (tmp_path / "killed" / "resume.safetensors").exists)
    for name in ("whole", "killed"):
        train(manifest, tmp_path / name, **LONG)
    for name in ("checkpoint.safetensors", "epochs.safetensors", "predictions.csv"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_killed_at_its_last_moment_a_run_is_whole_and_what_it_resumes_from_is_removed_later(manifest, tmp_path):
    train(manifest, tmp_path / "run")
    files = {file: file.read_bytes() for file in (tmp_path / "run").iterdir()}
    (tmp_path / "run" / "resume.safetensors").write_bytes(b"removed after the run is finished")
    train(manifest, tmp_path / "run")
    assert {file: file.read_bytes() for file in (tmp_path / "run").iterdir()} == files


def test_carve_takes_whole_groups_and_is_deterministic():
    samples = [Sample(id=str(i), sources={}, group=f"g{i // 5}", score=1.0) for i in range(25)]
    train_ids, validation = train_validation_split(samples, 0.2, seed=0)
    assert len(validation) == 5
    assert len({i // 5 for i in map(int, validation)}) == 1
    assert (train_ids, validation) == train_validation_split(samples, 0.2, seed=0)
    assert sorted(train_ids + validation, key=int) == [s.id for s in samples]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 12), min_size=3, max_size=7), st.floats(0.05, 0.95), st.integers(0, 5))
def test_validation_is_as_near_to_the_share_as_groups_allow(sizes, share, seed):
    names = [f"g{k}" for k, size in enumerate(sizes) for _ in range(size)]
    samples = [Sample(id=str(i), sources={}, group=name, score=1.0) for i, name in enumerate(names)]
    wanted = round(share * len(samples))
    _, validation = train_validation_split(samples, share, seed)
    every = [sum(chosen) for n in range(1, len(sizes)) for chosen in combinations(sizes, n)]  # brute force
    assert abs(len(validation) - wanted) == (min(abs(s - wanted) for s in every) if wanted else wanted)
    held = {names[int(i)] for i in validation}
    assert len(validation) == sum(name in held for name in names)


def test_a_huge_group_is_not_validated_on():
    sizes = {"huge": 94, "a": 3, "b": 3}
    samples = [Sample(id=f"{g}{i}", sources={}, group=g, score=1.0) for g, size in sizes.items() for i in range(size)]
    for seed in range(5):
        train_ids, validation = train_validation_split(samples, 0.2, seed)
        assert (len(train_ids), len(validation)) == (94, 6)


def test_a_sample_without_a_group_may_be_validated_on():
    samples = [Sample(id=str(i), sources={}, group="g" if i < 10 else None, score=1.0) for i in range(20)]
    assert len(train_validation_split(samples, 0.25, seed=0)[1]) == 5


def test_the_best_validation_epoch_needs_validation_samples(manifest, tmp_path):
    with pytest.raises(OptionError, match=r"give validation=0\.2"):
        train(manifest, tmp_path / "run", select="best-validation", validation=0.0)
    assert not (tmp_path / "run").exists()
    assert train(manifest, tmp_path / "run", select="best-validation", validation=0.2).splits() == [
        "validation",
        "test",
    ]


def test_two_backbones_need_fuse(manifest):
    recipe = make_recipe("dae", data="manifest", root=manifest, backbone=[BACKBONE, "c3d_small"], epochs=1)
    with pytest.raises(AqakitError, match=r"fuse|reads"):
        execute(recipe, prepare(recipe, manifest.parent / "cache"), manifest.parent / "run")
