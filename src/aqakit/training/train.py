"""Make a run: prepare the data, train, and write the files of the run folder."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from safetensors.torch import save_file

from aqakit.errors import RunError
from aqakit.features import extract
from aqakit.scores import recalibration
from aqakit.system import distributed, processes
from aqakit.system.files import atomic_path, write_text
from aqakit.training import run_files
from aqakit.training.assessor import Assessor, Target, check_difficulty
from aqakit.training.batches import BatchSource
from aqakit.training.data import PreparedData, RunSplit, prepare
from aqakit.training.loop import describe, fit
from aqakit.training.recipe import Recipe, assemble_run, make_recipe
from aqakit.training.run import Run
from aqakit.training.settings import device_of
from aqakit.training.state import RESUME_FILE, History
from aqakit.training.summary import TrainingSummary
from aqakit.types import LabelSpec

EpochReport = Callable[[int, dict[str, float]], None]
"""Callback after each epoch, with its number and losses."""


def silent(epoch: int, losses: dict[str, float]) -> None:
    """Report nothing."""


def execute(
    recipe: Recipe,
    prepared: PreparedData,
    folder: Path,
    *,
    report: EpochReport = silent,
) -> Run:
    """Train, predict and write one run; resume a killed run; return a finished run unchanged.

    Raises:
        RunError: the folder contains a run with other settings or data.
    """
    split = prepared.split(recipe)
    recipe = replace(recipe, fold=split.fold)
    fingerprint = _fingerprint(recipe, prepared, split)
    finished = (folder / "run.json").exists() and _finished(folder, fingerprint)
    distributed.wait()  # no process writes before all have checked the folder
    if finished:
        return Run.load(folder)
    description = _describe(recipe, prepared, fingerprint)
    if processes.is_first():
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / "run.json", json.dumps({**description, "status": "running"}, indent=1))
    assessor = assemble_run(recipe, prepared.dataset.labels)
    train = prepared.training_set(split)
    watched = {n: prepared.subset(ids) for n, ids in (("validation", split.validation), ("test", split.test)) if ids}
    for source in (train, *watched.values()):
        _check_source(source, recipe.target)
    history = fit(assessor, train, watched, recipe.settings, folder=folder, fingerprint=fingerprint, report=report)
    if processes.is_first():
        TrainingSummary.of(assessor, train, device_of(recipe.settings.device)).save(folder)
        _write(folder, assessor, history, watched, description, recipe, prepared.dataset.labels)
    distributed.wait()
    return Run.load(folder)


def train(
    method: str,
    *,
    data: str,
    backbone: str | Sequence[str],
    out: Path | str,
    root: Path | str | None = None,
    cache: Path | str | None = None,
    report: EpochReport = silent,
    **options: Any,
) -> Run:
    """Train a method on a data set and return the run; under ``torchrun``, all processes train it together.

    Args:
        method: name of the method; its options are keyword arguments too (``alpha=0.6``).
        data: name of a data set, with options as ``name:key=value``.
        backbone: name of a backbone, or several, with options as ``name:key=value``.
        out: the run folder.
        root: path of the data set; for ``manifest`` the CSV file.
        cache: folder of the feature cache; the default is ``$AQAKIT_CACHE`` or ``~/.cache/aqakit``.
        report: called after each epoch with its number and losses.
        options: options of the method, of :class:`~aqakit.training.recipe.Recipe` (``task``, ``fold``, ``target`` …)
            and of :class:`~aqakit.training.settings.Settings` (``epochs``, ``seed`` …).
    """
    recipe = make_recipe(method, data=data, backbone=backbone, root=root, **options)
    with distributed.process_group():
        with distributed.first_then_others():
            prepared = prepare(recipe, Path(cache) if cache else None)
        return execute(recipe, prepared, Path(out), report=report if processes.is_first() else silent)


def _fingerprint(recipe: Recipe, prepared: PreparedData, split: RunSplit) -> str:
    """Hash everything that changes the result, with the number of processes, since it changes the steps."""
    own = asdict(split)
    own["known"] = own.pop("labelled")  # the name in earlier versions, so that their runs are recognised
    together = [processes.size()] if processes.size() > 1 else []
    return extract.digest([recipe.to_json(), prepared.fingerprint, own, *together])


def _check_source(source: BatchSource, target: Target) -> None:
    difficulty = torch.tensor([s.difficulty if s.difficulty is not None else float("nan") for s in source.samples])
    check_difficulty(difficulty, [s.id for s in source.samples], target)


def _describe(recipe: Recipe, prepared: PreparedData, fingerprint: str) -> dict[str, Any]:
    return {
        "recipe": recipe.to_json(),
        "labels": asdict(prepared.dataset.labels),
        "fingerprint": fingerprint,
        "failures": dict(prepared.failures),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "av": av.__version__,
        },
    }


def _write(
    folder: Path,
    assessor: Assessor,
    history: History,
    watched: Mapping[str, BatchSource],
    description: dict[str, Any],
    recipe: Recipe,
    labels: LabelSpec,
) -> None:
    run_files.write_epochs(folder / "epochs.safetensors", history)
    with atomic_path(folder / "checkpoint.safetensors") as temporary:
        save_file({n: t.cpu().contiguous() for n, t in assessor.state_dict().items()}, temporary)
    kept = {name: distributions[history.best] for name, distributions in history.predictions.items()}
    write_text(folder / "predictions.csv", run_files.predictions_csv(kept, watched))
    device = device_of(recipe.settings.device)
    said = {name: describe(assessor.to(device), source, device) for name, source in watched.items()}
    write_text(folder / "descriptions.json", run_files.descriptions_json(said, watched, labels))
    if "validation" in watched:
        true = torch.tensor([s.score for s in watched["validation"].samples])
        fitted = recalibration.KINDS[recipe.recalibrate].fit(kept["validation"], true)
        write_text(folder / "recalibration.json", json.dumps(fitted.to_json()))
    done = {**description, "status": "finished", "epoch": history.best, "losses": history.losses}
    write_text(folder / "run.json", json.dumps(done, indent=1))
    (folder / RESUME_FILE).unlink(missing_ok=True)


def _finished(folder: Path, fingerprint: str) -> bool:
    description = run_files.read_description(folder)
    if description["fingerprint"] != fingerprint:
        raise RunError(f"{folder}: contains a run with other settings or data; choose another folder or delete it")
    return bool(description["status"] == "finished")
