"""Make a run: prepare the data, train, and write the files of the run folder."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import torch

from aqakit.datasets.parts.pairs import among
from aqakit.errors import OptionError, RunError
from aqakit.features import keys
from aqakit.scores.cross_conformal import CrossConformal
from aqakit.system import distributed, processes, progress
from aqakit.system.files import in_utf8, sweep, user_path, write_text
from aqakit.system.numbers import duration
from aqakit.system.wording import option
from aqakit.training import comparisons, long_videos, measured, run_files, run_json, trust
from aqakit.training.assessor import Assessor, Target, check_difficulty, check_steps
from aqakit.training.batches import BatchSource, has_score
from aqakit.training.comparisons import PairRows
from aqakit.training.data import PreparedData, prepare
from aqakit.training.ensemble import Ensemble
from aqakit.training.folds import RunSplit
from aqakit.training.logs import EpochReport, Log, check_log, logged
from aqakit.training.loop import describe, fit
from aqakit.training.recipe import Recipe, assemble_members, make_recipe, member_seeds
from aqakit.training.run import Run
from aqakit.training.settings import device_of
from aqakit.training.state import RESUME_FILE, History, Member
from aqakit.training.summary import TrainingSummary


def silent(epoch: int, losses: dict[str, float]) -> None:
    """Report nothing."""


def execute(
    recipe: Recipe,
    prepared: PreparedData,
    folder: Path,
    *,
    report: EpochReport = silent,
    time_limit: float | None = None,
    log: Log | None = None,
) -> Run:
    """Train, predict and write one run; resume a killed run; return a finished run unchanged.

    Raises:
        OptionError: the epoch is to be selected on validation samples, and there are none.
        RunError: the folder contains a run with other settings or data.
    """
    split = prepared.split(recipe)
    _check_selection(recipe, split)
    recipe = replace(recipe, fold=split.fold, members=max(1, len(split.parts)))
    recipe, prepared, notes = long_videos.settle(recipe, prepared, split)
    prepared = prepared.with_labels(prepared.labels_of(recipe, split)).rated(split)
    fingerprint = _fingerprint(recipe, prepared, split)
    finished = (folder / run_json.FILE).exists() and _finished(folder, fingerprint)
    distributed.wait()  # no process writes before all have checked the folder
    if finished:
        return _end(folder)
    ensemble = assemble_members(recipe, prepared.dataset.labels)
    _check_pairs(recipe, split, ensemble)
    notes += comparisons.notes(split.pairs, prepared.dataset.pairs, alone=split.rated)
    rated = {"rated": True} if split.rated else {}
    description = {**_describe(recipe, prepared, fingerprint), **rated, "notes": notes}
    if processes.is_first():
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
        run_json.write(folder, {**description, "status": "running"})
        report = logged(log, folder, report)
    train = prepared.training_set(split)
    watched = {n: prepared.subset(ids) for n, ids in (("validation", split.validation), ("test", split.test)) if ids}
    for source in (train, *watched.values()):
        _check_source(source, recipe.target)
        check_steps(source.samples, ensemble.method)
    members = _members(recipe, prepared, split, ensemble)
    if recipe.scale_target:
        for member in members:
            member.assessor.start(member.train.labels_of(has_score(member.train).nonzero().squeeze(1)))
    history = fit(
        members,
        watched,
        recipe.settings,
        scale=prepared.dataset.labels.scale,
        folder=folder,
        fingerprint=fingerprint,
        report=report,
        time_limit=time_limit,
    )
    if processes.is_first():
        whole, device = measured.groups_of(split, train) is not None, device_of(recipe.settings.device)
        held, labels = watched.get("validation"), prepared.dataset.labels
        names = [prepared.names.get(sample.id, {}) for sample in train.samples]
        TrainingSummary.of(ensemble, train, device, labels, whole_groups=whole, validation=held, names=names).save(
            folder
        )
        write_text(folder / run_files.TRAINING, json.dumps(trust.fingerprints(train.samples)))
        if split.parts:
            watched = {"held-out": prepared.subset([i for part in split.parts for i in part]), **watched}
        description["difficulty"] = trust.difficulty_range(train.samples)
        _write(folder, ensemble, history, watched, description, recipe, prepared, split)
    distributed.wait()
    return _end(folder)


def _end(folder: Path) -> Run:
    """Return a finished run, without the file that it would have resumed from: the process may be killed in between."""
    if processes.is_first():
        (folder / RESUME_FILE).unlink(missing_ok=True)
    return Run.load(folder)


def _members(recipe: Recipe, prepared: PreparedData, split: RunSplit, ensemble: Ensemble) -> list[Member]:
    """The models of a run, each with the samples that it is trained on and those that it does not see."""
    assessors = cast(list[Assessor], list(ensemble.members))
    if not split.parts:
        train = prepared.training_set(split)
        return [Member(assessors[0], train, seed=recipe.settings.seed, pairs=_pairs(recipe, split, train))]
    members = []
    for assessor, part, seed in zip(assessors, split.parts, member_seeds(recipe), strict=True):
        own = split.without(part)
        train = prepared.training_set(own)
        members.append(Member(assessor, train, prepared.subset(part), seed, _pairs(recipe, own, train)))
    return members


def _pairs(recipe: Recipe, split: RunSplit, train: BatchSource) -> PairRows | None:
    weight = recipe.settings.pairs_weight
    return PairRows.of(split.pairs, train.samples, 1.0 if weight is None else weight)


def train(
    method: str,
    *,
    data: str,
    backbone: str | Sequence[str],
    out: Path | str,
    root: Path | str | None = None,
    cache: Path | str | None = None,
    report: EpochReport | None = None,
    time_limit: float | str | None = None,
    log: Log | None = None,
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
        report: called after each epoch with its number and losses; None shows a bar on a terminal and in a notebook.
        time_limit: seconds, or text such as ``"90m"``, after which training stops at the end of an epoch; the same call
            goes on there.
        log: ``csv`` or ``tensorboard``: write the losses of every epoch into the run folder.
        options: options of the method, of :class:`~aqakit.training.recipe.Recipe` (``task``, ``fold``, ``target`` …)
            and of :class:`~aqakit.training.settings.Settings` (``epochs``, ``seed`` …).
    """
    recipe = make_recipe(method, data=data, backbone=backbone, root=root, **options)
    seconds = time_limit if time_limit is None else duration(time_limit)
    folder = in_utf8(user_path(out))
    _check_device(recipe)
    check_log(log)
    with distributed.process_group():
        with distributed.first_then_others():
            prepared = prepare(recipe, in_utf8(user_path(cache)) if cache else None)
        with progress.epochs(recipe.settings.epochs) as bar:
            own = (report or bar) if processes.is_first() else silent
            return execute(recipe, prepared, folder, report=own, time_limit=seconds, log=log)


def _fingerprint(recipe: Recipe, prepared: PreparedData, split: RunSplit) -> str:
    """Hash everything that changes the result, with the number of processes, since it changes the steps."""
    together = [processes.size()] if processes.size() > 1 else []
    plain = recipe.frame_storage == "raw" and not recipe.augmented
    unsaid = {"frame_storage"} if plain else set()  # runs of earlier versions go on; their random views were others
    stored = {name: value for name, value in recipe.to_json().items() if name not in unsaid}
    return keys.digest([stored, prepared.fingerprint, asdict(split), *together])


def _check_device(recipe: Recipe) -> None:
    """Check what needs no data, before hours of reading them."""
    device = device_of(recipe.settings.device)
    if recipe.settings.compile and not recipe.finetune:
        raise OptionError("compile is for a backbone that is trained, and this one is frozen; leave it out")
    if recipe.settings.tf32 and device.type != "cuda":
        raise OptionError(f"tf32 is for NVIDIA GPUs, and this run is trained on {device}; leave it out")
    if recipe.precision == "int8" and recipe.finetune:
        raise OptionError(f"a backbone cannot be trained in int8; give {option('precision', 'bfloat16')}")


def _check_selection(recipe: Recipe, split: RunSplit) -> None:
    if recipe.settings.select == "best-validation" and not split.validation:
        raise OptionError(
            "select best-validation needs validation samples, and there are none; give "
            f"{option('validation', 0.2)} or more"
        )
    if recipe.settings.patience and recipe.settings.select == "held-out" and not split.parts:
        raise OptionError(
            "patience compares epochs on samples that were held out, and there are none; give "
            f"{option('members', 5)}, or {option('validation', 0.2)} with {option('select', 'best-validation')}"
        )


def _check_pairs(recipe: Recipe, split: RunSplit, ensemble: Ensemble) -> None:
    if recipe.pairs is not None and not split.pairs:
        raise OptionError(f"{recipe.pairs} has no pair of two samples of the training set of fold {split.fold}")
    if recipe.settings.pairs_weight is not None and not split.pairs:
        raise OptionError(f"pairs_weight is for pairs, and there are none; leave it out, or give {option('pairs')}")
    for part in split.parts:
        split.without(part)  # which leaves each member some
    fitted = not any(p.requires_grad for p in ensemble.parameters())
    if split.pairs and fitted and not split.rated:
        raise OptionError(
            f"method {recipe.method} is fitted to scores at once, and cannot learn from pairs beside them; omit "
            f"{option('pairs')}"
        )


def _check_source(source: BatchSource, target: Target) -> None:
    difficulty = torch.tensor([s.difficulty if s.difficulty is not None else float("nan") for s in source.samples])
    check_difficulty(difficulty, [s.id for s in source.samples], target)


def _describe(recipe: Recipe, prepared: PreparedData, fingerprint: str) -> dict[str, Any]:
    return {
        "recipe": recipe.to_json(),
        "labels": asdict(prepared.dataset.labels),
        "fingerprint": fingerprint,
        "protocol": recipe.protocol or next(iter(prepared.dataset.splits)),
        "failures": dict(prepared.failures),
        "doubts": dict(prepared.doubts),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "av": av.__version__,
        },
    }


def _write(
    folder: Path,
    ensemble: Ensemble,
    history: History,
    watched: Mapping[str, BatchSource],
    description: dict[str, Any],
    recipe: Recipe,
    prepared: PreparedData,
    split: RunSplit,
) -> None:
    labels = prepared.dataset.labels
    run_files.write_epochs(folder / run_files.EPOCHS, history)
    run_files.save_weights(ensemble, folder / run_files.WEIGHTS)
    kept = history.kept()
    write_text(folder / run_files.PREDICTIONS, run_files.predictions_csv(kept, watched))
    device = device_of(recipe.settings.device)
    told = {name: source for name, source in watched.items() if name != "held-out"}
    said = {name: describe(ensemble.to(device), source, device) for name, source in told.items()}
    write_text(folder / run_files.DESCRIPTIONS, run_files.descriptions_json(said, told, labels))
    fitted = measured.recalibrated(recipe, kept, watched, split)
    if fitted is not None:
        write_text(folder / run_files.RECALIBRATION, json.dumps(fitted.to_json()))
    if isinstance(fitted, CrossConformal):
        calibrated = {name: fitted.apply(answers, scale=labels.scale) for name, answers in history.answers.items()}
        run_files.write_distributions(folder / run_files.CALIBRATED, calibrated)
    found = measured.measure(prepared, split, kept, watched, fitted)
    done = {**description, "status": "finished", "epoch": history.best, "losses": history.losses}
    done["trust"] = found.to_json() if found else None
    done["notes"] = [*description["notes"], *history.notes]
    texts = [run_files.PREDICTIONS, run_files.DESCRIPTIONS, run_files.TRAINING]
    texts += [run_files.RECALIBRATION] * (fitted is not None)
    if pairs := among(prepared.dataset.pairs, [s.id for source in watched.values() for s in source.samples]):
        write_text(folder / run_files.PAIRS, run_files.pairs_csv(pairs))
        texts.append(run_files.PAIRS)
    run_json.write(folder, done, texts)


def _finished(folder: Path, fingerprint: str) -> bool:
    description = run_json.read(folder)
    if description["fingerprint"] != fingerprint:
        raise RunError(f"{folder}: contains a run with other settings or data; choose another folder or delete it")
    return bool(description["status"] == "finished")
