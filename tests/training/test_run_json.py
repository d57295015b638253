"""Run folders that were damaged, edited, or written by another version: a sentence each."""

import csv
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import aqakit
from aqakit.errors import AqakitError, RunError
from aqakit.evaluation import finished_run
from aqakit.report.study import command
from aqakit.training import run_json
from aqakit.training.run import Run
from tests.training.test_run import make_manifest, train

LATER = ("files", "format", "digest")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run")
    return train(make_manifest(folder), folder / "run", "regression", epochs=2, validation=0.0, members=3)


@pytest.fixture
def copy(run: Run, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run.folder, tmp_path / "run"))


def read_all(folder: Path) -> list[Any]:
    """Everything that commands read of a run."""
    found = aqakit.load(folder)
    splits = found.splits()
    read: list[Any] = [found.trust, found.labels, found.training_summary.ids, found.training_recordings]
    read += [[one.mean.tolist() for one in found.epochs(split)] for split in splits]
    read += [found.prediction(split, recalibrated=True).mean.tolist() for split in splits]
    return [*read, finished_run.describe_run(found), [found.truth(split).tolist() for split in splits]]


def as_before_digests(folder: Path) -> Path:
    """Rewrite a run as earlier versions wrote it."""
    for file in folder.glob("*.safetensors"):
        header = {n: text for n, text in header_of(file).items() if n not in LATER}
        save_file(load_file(file), file, header or None)
    stored = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({n: v for n, v in stored.items() if n not in LATER}, indent=1))
    return folder


def test_runs_of_earlier_versions_are_read(run: Run, copy: Path) -> None:
    expected = read_all(run.folder)
    assert read_all(as_before_digests(copy)) == expected


def test_runs_of_format_1_keep_the_conventions_of_their_time(run: Run) -> None:
    chosen = [["i3d", {"weights": "a.pth"}], ["p3d", {}], ["i3d", {"convention": "same"}], ["kinematics", {"count": 3}]]
    before = {"convention": "earlier", "weights": "a.pth"}, {"convention": "qijiezhao"}, {"convention": "same"}
    stored = {"recipe": {**run.recipe.to_json(), "backbones": chosen}}
    for version in ({}, {"format": 1}):
        recipe = run_json.recipe_of(run.folder, {**stored, **version})
        assert [options for _, options in recipe.backbones] == [*before, {"count": 3}]
    recipe = run_json.recipe_of(run.folder, {**stored, "format": 2})
    assert [list(one) for one in recipe.backbones] == chosen


@pytest.mark.parametrize(("method", "option"), [("raan", "attention_rate"), ("tpt", "trunk_rate")])
def test_runs_from_before_an_option_keep_what_they_did(run: Run, method: str, option: str) -> None:
    recipe = {**run.recipe.to_json(), "method": method, "options": {"filters": 3}}
    found = run_json.recipe_of(run.folder, {"recipe": recipe, "format": 2})
    assert found.options == {"filters": 3, option: 1.0}
    assert f"--{option.replace('_', '-')} 1.0" in command(found, "out")
    said = {**recipe, "options": {option: 0.5}}
    assert run_json.recipe_of(run.folder, {"recipe": said, "format": 3}).options == {option: 0.5}


@pytest.mark.parametrize("count", [pytest.param(45, id="some"), pytest.param(450, id="all", marks=pytest.mark.slow)])
def test_every_flipped_bit_of_a_run_is_found(copy: Path, count: int) -> None:
    files = sorted(file for file in copy.iterdir() if file.suffix)
    assert len(files) == 9
    chance = random.Random(count)
    read_all(copy)
    for number in range(count):
        file = files[number % len(files)]
        whole = file.read_bytes()
        content = bytearray(whole)
        place = chance.randrange(len(whole) if number % 3 else min(len(whole), 400))  # headers as often as values
        content[place] ^= 1 << chance.randrange(8)
        file.write_bytes(content)
        with pytest.raises(AqakitError, match=file.name.split(".")[0]) as caught:
            read_all(copy)
        assert "\n" not in str(caught.value)
        file.write_bytes(whole)
    read_all(copy)


def test_a_newer_run_says_so(copy: Path) -> None:
    text = (copy / "run.json").read_text()
    (copy / "run.json").write_text(text.replace(f'"format": {run_json.FORMAT}', '"format": 99'))
    with pytest.raises(RunError, match=r"run\.json: was written by a newer aqakit \(format 99; .* update aqakit"):
        aqakit.load(copy)


def test_what_was_edited_by_hand_is_refused(copy: Path) -> None:
    for name, before, after in (
        ("run.json", '"epoch": ', '"epoch":  '),
        ("predictions.csv", ",g1", ",g2"),
        ("training.json", "[", "[ "),
        ("descriptions.json", "{", "{ "),
        ("recalibration.json", "{", "{ "),
    ):
        whole = (copy / name).read_text()
        (copy / name).write_text(whole.replace(before, after, 1))
        with pytest.raises(RunError, match=f"{name}: is damaged, or was changed after"):
            read_all(copy)
        (copy / name).write_text(whole)
    for name in ("recalibration.json", "calibrated.safetensors", "epochs.safetensors", "predictions.csv"):
        whole_file = (copy / name).read_bytes()
        (copy / name).unlink()
        with pytest.raises(RunError, match=f"{name}: is missing; restore it"):
            read_all(copy)
        (copy / name).write_bytes(whole_file)


Change = Callable[[dict[str, Any]], Any]
WRONG: dict[str, tuple[Change, str]] = {
    "no recipe": (lambda d: d.pop("recipe"), "has no recipe; it was not written by aqakit"),
    "no epoch": (lambda d: d.pop("epoch"), "has no epoch"),
    "an epoch of text": (lambda d: d.update(epoch="two"), "epoch: input should be a valid integer"),
    "an epoch below 0": (lambda d: d.update(epoch=-1), "epoch: input should be greater"),
    "an unknown status": (lambda d: d.update(status="paused"), "status: input should be"),
    "losses of text": (lambda d: d.update(losses=["a"]), r"losses\.0: input should be a valid dictionary"),
    "a recipe that is a list": (lambda d: d.update(recipe=[]), "recipe: input should be a valid dictionary"),
    "no method": (lambda d: d["recipe"].pop("method"), r"recipe\.method: "),
    "epochs of text": (lambda d: d["recipe"]["settings"].update(epochs="x"), r"recipe\.settings\.epochs: input"),
    "no epochs": (lambda d: d["recipe"]["settings"].update(epochs=0), r"recipe\.settings\.epochs: input"),
    "an unknown option": (lambda d: d["recipe"].update(colour=1), "recipe has colour, which this aqakit does not know"),
    "an unknown target": (lambda d: d["recipe"].update(target="x"), r"recipe\.target: input should be 'score' or"),
    "an unknown backbone": (lambda d: d["recipe"].update(backbones=[["x", {}]]), "x"),
    "backbones of numbers": (lambda d: d["recipe"].update(backbones=[3]), r"recipe\.backbones"),
    "a scale of text": (lambda d: d["labels"]["scale"].update(low="x"), r"labels\.scale\.low: input"),
    "a scale upside down": (lambda d: d["labels"]["scale"].update(low=1e9), "needs low < high"),
    "no scale": (lambda d: d["labels"].pop("scale"), r"labels\.scale: "),
    "trust of text": (lambda d: d["trust"].update(samples="x"), r"trust\.samples: input"),
    "trust without its number": (lambda d: d["trust"].pop("mae"), r"trust\.mae: "),
    "a difficulty of one number": (lambda d: d.update(difficulty=[1]), "difficulty"),
    "an epoch that was not": (lambda d: d.update(epoch=7), "do not belong together"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_kinds_are_a_sentence_in_runs_without_digests(name: str, copy: Path) -> None:
    change, message = WRONG[name]
    file = as_before_digests(copy) / "run.json"
    stored = json.loads(file.read_text())
    change(stored)
    file.write_text(json.dumps(stored))
    with pytest.raises(AqakitError, match=message) as caught:
        read_all(copy)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"3", b"null", b"\xff\xfe{}", b"[" * 10**5, b'{"format": "new"}', b'{"a": 1e999}']
)
def test_json_that_is_none_of_a_run_is_a_sentence(text: bytes, copy: Path) -> None:
    (copy / "run.json").write_bytes(text)
    with pytest.raises(RunError, match=r"run\.json: "):
        aqakit.load(copy)


EDITED: dict[str, tuple[str, Callable[[list[list[str]]], Any], str]] = {
    "a word": ("predictions.csv", lambda rows: rows[1].__setitem__(2, "much"), "line 2: 'much' is not a number"),
    "digits that Python alone reads": ("predictions.csv", lambda rows: rows[1].__setitem__(2, "7_4"), "line 2: '7_4'"),
    "a row less": ("predictions.csv", lambda rows: rows.pop(), "do not belong together"),
    "a cell less": ("predictions.csv", lambda rows: rows[2].pop(), "line 3: does not have the columns"),
    "a cell more": ("predictions.csv", lambda rows: rows[2].append("x"), "line 3: does not have the columns"),
    "another column": ("predictions.csv", lambda rows: rows[0].__setitem__(1, "name"), "line 2: does not have the"),
}


@pytest.mark.parametrize("name", EDITED)
def test_edited_predictions_are_a_sentence_in_runs_without_digests(name: str, copy: Path) -> None:
    file, change, message = EDITED[name]
    path = as_before_digests(copy) / file
    with path.open(newline="") as stream:
        rows = list(csv.reader(stream))
    change(rows)
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    with pytest.raises(RunError, match=message):
        read_all(copy)


TENSORS = {
    "epochs.safetensors": lambda t: t[:1] if t.ndim else t,
    "exemplars.safetensors": lambda t: t[1:] if t.ndim == 1 else t,
}


def header_of(file: Path) -> dict[str, str]:
    with safe_open(file, framework="pt") as stored:
        return dict(stored.metadata() or {})


def test_files_of_tensors_that_are_cut_or_do_not_fit_are_a_sentence(copy: Path) -> None:
    as_before_digests(copy)
    for name in (*TENSORS, "calibrated.safetensors", "checkpoint.safetensors"):
        whole = (copy / name).read_bytes()
        (copy / name).write_bytes(whole[: len(whole) * 2 // 3])
        with pytest.raises(AqakitError, match=name):
            read_all(copy)
        (copy / name).write_bytes(whole)
        if name in TENSORS:
            changed = {n: TENSORS[name](t).clone() for n, t in load_file(copy / name).items()}
            save_file(changed, copy / name, header_of(copy / name))
            with pytest.raises(RunError, match=r"do not (belong|fit) together"):
                read_all(copy)
            (copy / name).write_bytes(whole)
    assert torch.isfinite(torch.tensor(read_all(copy)[-1][0])).all()
