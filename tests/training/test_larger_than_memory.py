"""Features that do not fit in memory: the run is the one that it would be in memory, to the bit."""

import csv
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

import aqakit
from aqakit.errors import OptionError, TimeLimitError
from aqakit.features import packed
from aqakit.features.packed import PackedStream
from aqakit.system import tensors
from aqakit.training import long_videos, summary
from aqakit.training.data import prepare
from aqakit.training.recipe import make_recipe
from aqakit.training.stacked import Stacked

FILES = ("checkpoint.safetensors", "epochs.safetensors", "predictions.csv", "exemplars.safetensors")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Features of thirty videos of different lengths, their scores and some comparisons."""
    folder, random = tmp_path_factory.mktemp("videos"), np.random.default_rng(0)
    with (folder / "videos.csv").open("w", newline="") as out, (folder / "pairs.csv").open("w", newline="") as pairs:
        rows, compared = csv.writer(out), csv.writer(pairs)
        rows.writerow(["id", "features", "score"])
        compared.writerow(["better", "worse"])
        scores = random.uniform(0, 10, 30)
        for n, score in enumerate(scores):
            np.save(folder / f"{n}.npy", random.normal(score, 3, (random.integers(1, 9), 6)).astype(np.float32))
            rows.writerow([f"v{n}", f"{n}.npy", round(score, 3)])
            compared.writerow([f"v{n}", f"v{n - 1}"] if score > scores[n - 1] else [f"v{n - 1}", f"v{n}"]) if n else 0
    return folder


def train(folder, out, method="dae:dropout=0.3", **options):
    name, *own = method.split(":")
    own = dict(one.split("=") for one in own)
    words = {"data": "manifest", "root": folder / "videos.csv", "backbone": "precomputed:width=6"}
    words |= {"cache": folder / "cache", "epochs": 2, "batch_size": 6, "members": 1, "protocol": "five-fold"}
    return aqakit.train(name, **{**words, "out": out, **own, **options})


def differences(run, other):
    """Return what differs between the files of two runs: lines, or by how much which numbers."""
    found = []
    for name in FILES:
        one, two = run.folder / name, other.folder / name
        if one.read_bytes() == two.read_bytes():
            continue
        if one.suffix == ".csv":
            found += set(one.read_text().splitlines()) ^ set(two.read_text().splitlines())
            continue
        (ours, header), (theirs, other_header) = tensors.load(one), tensors.load(two)
        headers = [header.get(word) for word in header | other_header if header.get(word) != other_header.get(word)]
        values = {n: apart(ours[n], theirs[n]) for n in ours.keys() & theirs.keys()}
        found.append((name, headers, ours.keys() ^ theirs.keys(), {n: v for n, v in values.items() if v != 0}))
    return found


def apart(one, other):
    """Return the largest difference of two tensors, or their shapes if these differ."""
    if one.shape != other.shape:
        return one.shape, other.shape
    return (one.double() - other.double()).abs().max().item()


RUNS = [
    {},
    {"members": 3},
    {"members": 3, "standardise": "yes"},
    {"members": 2, "pairs": "pairs.csv"},
    {"method": "mean_teacher:base=regression", "labels": "50%"},
    {"summarise": 2, "fuse": "concat", "validation": 0.2},
]


@pytest.mark.parametrize("options", RUNS, ids=str)
def test_a_run_from_a_file_is_the_run_in_memory(folder, tmp_path, monkeypatch, options):
    options = {**options, **({"pairs": str(folder / options["pairs"])} if "pairs" in options else {})}
    inside = train(folder, tmp_path / "inside", **options)
    monkeypatch.setenv(packed.LIMIT, "0")
    read = []
    monkeypatch.setattr(PackedStream, "read", lambda self, own=PackedStream.read: read.append(1) or own(self))
    outside = train(folder, tmp_path / "outside", **options)
    assert differences(inside, outside) == []
    assert read


def test_a_stopped_run_goes_on_to_the_same_bits(folder, tmp_path, monkeypatch):
    monkeypatch.setenv(packed.LIMIT, "0")
    whole = train(folder, tmp_path / "whole", members=3)
    with pytest.raises(TimeLimitError, match="after epoch 1 of 2"):
        train(folder, tmp_path / "cut", members=3, time_limit=1e-9)
    assert differences(train(folder, tmp_path / "cut", members=3, time_limit=1e-9), whole) == []


def test_members_are_trained_as_one_from_a_file_too(folder, tmp_path, monkeypatch):
    steps = []
    monkeypatch.setattr(Stacked, "forward", lambda *words, own=Stacked.forward: steps.append(1) or own(*words))
    monkeypatch.setenv(packed.LIMIT, "0")
    train(folder, tmp_path / "run", members=3)
    assert len(steps) == 2 * 3  # of 16 videos each


@pytest.mark.parametrize("method", ["svr", "core", "coreg"])
def test_a_method_that_needs_all_videos_at_once_is_refused(folder, tmp_path, monkeypatch, method):
    monkeypatch.setenv(packed.LIMIT, "0")
    with pytest.raises(OptionError, match="a method with a memory; give more with AQAKIT_FEATURE_MEMORY"):
        train(folder, tmp_path / "run", method)


def test_long_videos_are_summarised_from_file_to_file(folder, monkeypatch):
    words = {"data": "manifest", "root": folder / "videos.csv", "backbone": "precomputed:width=6"}
    recipe = make_recipe("dae", **words, protocol="five-fold", members=1)
    monkeypatch.setattr(long_videos, "LONG", 3)
    found = []
    for limit in ("1", "0"):
        monkeypatch.setenv(packed.LIMIT, limit)
        prepared = prepare(recipe, folder / "cache")
        settled, read, notes = long_videos.settle(recipe, prepared, prepared.split(recipe))
        assert notes
        assert settled.windows == long_videos.WINDOWS
        found.append(read.source)
    inside, outside = found
    assert inside.in_memory
    assert not outside.in_memory
    index = torch.tensor([3, 20, 7])
    assert torch.equal(inside.batch(index).features, outside.batch(index).features)


def test_of_many_training_videos_some_are_remembered(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(summary, "_MOST", 7)
    run = train(folder, tmp_path / "run")
    kept = run.training_summary
    assert len(kept.ids) == len(set(kept.ids)) == 7
    assert set(kept.ids) <= {sample["id"] for sample in rows(folder)}
    truth = {row["id"]: float(row["score"]) for row in rows(folder)}
    assert kept.score.tolist() == pytest.approx([truth[name] for name in kept.ids])
    first = np.load(folder / f"{kept.ids[0][1:]}.npy").mean(0)
    assert kept.mean_features["precomputed"][0].numpy() == pytest.approx(first, abs=1e-5)


@pytest.mark.slow
def test_with_torchrun_all_processes_read_one_file(folder, tmp_path):
    def torchrun(out, limit):
        command = [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc-per-node",
            "2",
            "-m",
            "aqakit",
        ]
        command += ["train", "regression", "--data", "manifest", "--root", folder / "videos.csv", "--backbone"]
        command += ["precomputed:width=6", "--epochs", "2", "--batch-size", "3"]
        command += ["--members", "1", "--protocol", "five-fold", "-o", tmp_path / out]
        surroundings = {
            **os.environ,
            packed.LIMIT: limit,
            "OMP_NUM_THREADS": "1",
            "AQAKIT_CACHE": str(tmp_path / "cache"),
        }
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=surroundings, check=False)
        assert done.returncode == 0, done.stderr
        return [(tmp_path / out / name).read_bytes() for name in FILES[:3]]

    inside = torchrun("inside", "1000")
    assert not list((tmp_path / "cache" / packed.FOLDER).glob("*"))
    assert torchrun("outside", "0") == inside
    assert len(list((tmp_path / "cache" / packed.FOLDER).glob("*"))) == 1


def rows(folder):
    with (folder / "videos.csv").open() as lines:
        return list(csv.DictReader(lines))
