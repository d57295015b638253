"""A finished run as an object, and how one is made.

A run folder holds ``run.json`` (recipe, labels, data fingerprint, versions), ``checkpoint.safetensors`` (the weights),
``epochs.safetensors`` (predictions of every epoch on every watched split), ``predictions.csv`` and
``descriptions.json`` (scores, and attributes and captions if any, of the kept epoch), ``exemplars.safetensors`` (what
is kept of the training videos to explain new ones) and, where there was a validation split, ``recalibration.json``.
While it is being made it also holds ``optimizer.pt``, from which a killed run goes on to the same bits.
"""

from __future__ import annotations

import csv
import json
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from aqakit import distributed, features, recalibration, runfiles, sources, training
from aqakit.assessor import Assessor, Target, check_difficulty
from aqakit.backbones import Backbone
from aqakit.distributions import ScoreDistribution, restore
from aqakit.engines import Engine
from aqakit.errors import OptionError, RunError
from aqakit.exemplars import Remembered
from aqakit.files import replacing, write_text
from aqakit.material import Material, Parts, gather
from aqakit.recipe import Recipe, assemble_run, build_backbones, make_engine, make_recipe
from aqakit.sources import Source
from aqakit.training import History
from aqakit.types import Batch, Description, LabelSpec, Sample

Report = Callable[[int, dict[str, float]], None]


def silent(epoch: int, losses: dict[str, float]) -> None:
    """Report nothing."""


def execute(
    recipe: Recipe,
    material: Material,
    folder: Path,
    *,
    report: Report = silent,
) -> Run:
    """Train, predict and write one run; go on where a killed one stopped; return a finished one as it is.

    Raises:
        RunError: the folder holds a run with other settings or data.
    """
    parts = material.parts(recipe)
    recipe = replace(recipe, fold=parts.fold)
    fingerprint = _fingerprint(recipe, material, parts)
    finished = (folder / "run.json").exists() and _finished(folder, fingerprint)
    distributed.wait()  # nobody writes before all have looked
    if finished:
        return Run.load(folder)
    description = _describe(recipe, material, fingerprint)
    if distributed.is_first():
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / "run.json", json.dumps({**description, "status": "running"}, indent=1))
    assessor = assemble_run(recipe, material.dataset.labels)
    train = material.learnt_from(parts)
    watched = {"validation": parts.validation, "test": parts.test}
    sources = {name: material.part(ids) for name, ids in watched.items() if ids}
    for source in (train, *sources.values()):
        _check_source(source, recipe.target)
    history = training.fit(
        assessor, train, sources, recipe.settings, folder=folder, fingerprint=fingerprint, report=report
    )
    if distributed.is_first():
        Remembered.of(assessor, train, training.device_of(recipe.settings.device)).save(folder)
        _write(folder, assessor, history, sources, description, recipe, material.dataset.labels)
    distributed.wait()
    return Run.load(folder)


def load(folder: Path | str) -> Run:
    """Open a finished run: :meth:`Run.load`."""
    return Run.load(folder)


def train(
    method: str,
    *,
    data: str,
    backbone: str | Sequence[str],
    out: Path | str,
    root: Path | str | None = None,
    cache: Path | str | None = None,
    report: Report = silent,
    **options: Any,
) -> Run:
    """Train a method on a data set and return the run; in all processes together where ``torchrun`` started several.

    Args:
        method: its name; its own options are keywords too (``alpha=0.6``).
        data: name of a data set, with options as ``name:key=value``.
        backbone: name of a backbone, or several, with options as ``name:key=value``.
        out: the run folder.
        root: where the data set is; for ``manifest`` the CSV file.
        cache: where features are kept; the default is ``$AQAKIT_CACHE`` or ``~/.cache/aqakit``.
        report: called after each epoch with its number and losses.
        options: of the method, of :class:`Recipe` (``task``, ``fold``, ``target`` …) and of
            :class:`~aqakit.training.Settings` (``epochs``, ``seed`` …).
    """
    recipe = make_recipe(method, data=data, backbone=backbone, root=root, **options)
    with distributed.together():
        with distributed.first_then_others():
            material = gather(recipe, Path(cache) if cache else None)
        return execute(recipe, material, Path(out), report=report if distributed.is_first() else silent)


class Run:
    """A finished run.

    Attributes:
        folder: where it is.
        recipe: what it was made from.
        labels: scale, judges and the rest of what its data set's labels are.
        assessor: ready to predict, on the CPU.
        recalibration: fitted on the validation split; None where there was none.
    """

    def __init__(self, folder: Path, description: Mapping[str, Any], assessor: Assessor) -> None:
        self.folder, self.description, self.assessor = folder, description, assessor
        self.recipe = Recipe.from_json(description["recipe"])
        self.labels = runfiles.labels_from_json(description["labels"])
        self.recalibration = runfiles.load_recalibration(folder)

    @classmethod
    def load(cls, folder: Path | str) -> Run:
        """Open a run folder.

        Raises:
            RunError: it is missing or not finished.
            WeightsError: its checkpoint is damaged or of another method.
        """
        folder = Path(folder)
        description = runfiles.read_description(folder)
        if description["status"] != "finished":
            raise RunError(f"{folder}: this run is not finished; give its train command again to go on")
        recipe = Recipe.from_json(description["recipe"])
        assessor = assemble_run(recipe, runfiles.labels_from_json(description["labels"])).eval()
        runfiles.load_weights(assessor, folder / "checkpoint.safetensors")
        return cls(folder, description, assessor)

    @cached_property
    def backbones(self) -> dict[str, Backbone]:
        """What reads and embeds a new recording: the live ones of the run, or frozen ones, loaded when first asked."""
        if self.assessor.live:
            return dict(self.assessor.live.items())  # type: ignore[arg-type]
        return build_backbones(self.recipe)

    @cached_property
    def engine(self) -> Engine:
        """What runs the backbones; made once, since OpenVINO converts each network on its first clip."""
        return make_engine(self.recipe)

    @cached_property
    def remembered(self) -> Remembered:
        """What was kept of the training videos.

        Raises:
            RunError: nothing was, or the file is damaged.
        """
        return Remembered.load(self.folder)

    def predict(
        self,
        recording: Path | str | Mapping[str, Path | str],
        *,
        difficulty: float | None = None,
        window: tuple[int, int] | None = None,
    ) -> ScoreDistribution:
        """The score distribution of one recording, recalibrated where the run had validation data.

        Args:
            recording: a file; or, for a run with several kinds of input, ``{"video": …, "signal": …}``.
            difficulty: the declared difficulty; needed by a run whose target is ``total``.
            window: first and last frame of the action; None for the whole recording.
        """
        return self.predict_samples([self.sample(recording, difficulty, window)]).select(0)

    def sample(
        self,
        recording: Path | str | Mapping[str, Path | str],
        difficulty: float | None = None,
        window: tuple[int, int] | None = None,
    ) -> Sample:
        """A recording as a sample without a score; arguments are those of :meth:`predict`."""
        if not isinstance(recording, Mapping):
            recording = {self.only_input(): recording}
        paths = {kind: Path(path) for kind, path in recording.items()}
        return Sample(id=str(next(iter(paths.values()))), sources=paths, window=window, difficulty=difficulty)

    def only_input(self) -> str:
        """The kind of recording the run reads.

        Raises:
            OptionError: it reads several kinds, so that one file is not enough.
        """
        kinds = sorted({backbone.reads for backbone in self.backbones.values()})
        if len(kinds) > 1:
            raise OptionError(f"{self.folder}: this run reads a {' and a '.join(kinds)}; score a manifest with both")
        return kinds[0]

    def predict_samples(self, samples: Sequence[Sample]) -> ScoreDistribution:
        """(B,) distributions of samples, all of which must be readable; nothing is cached."""
        return self._answer(self.embed(samples))

    def assess(self, samples: Sequence[Sample]) -> tuple[ScoreDistribution, Description]:
        """The same, and what else the method says of them."""
        batch = self.embed(samples)
        with torch.inference_mode():
            said = self.assessor.describe_embedded(batch)
        return self._answer(batch), said

    def _answer(self, batch: Batch) -> ScoreDistribution:
        with torch.inference_mode():
            answer = self.assessor.predict_embedded(batch)
        return self.recalibration.apply(answer) if self.recalibration else answer

    def embed(self, samples: Sequence[Sample]) -> Batch:
        """The features of samples as the assessor takes them, with what is known of the samples; nothing is cached."""
        streams = {n: [self._features(s, n, backbone) for s in samples] for n, backbone in self.backbones.items()}
        stacked = {name: sources.stack(videos, self.recipe.summarise) for name, videos in streams.items()}
        batch = sources.collate(samples, self.labels, stacked)
        check_difficulty(batch.difficulty, [s.id for s in samples], self.recipe.target)
        return batch

    def _features(self, sample: Sample, name: str, backbone: Backbone) -> Tensor:
        if self.assessor.live:  # trained on features as they are, not as the cache rounds them
            return features.embed(backbone, features.source(sample, name, backbone), sample.window, self.engine)
        return features.clips_of(sample, name, backbone, None, self.engine).features

    def epochs(self, split: str) -> list[ScoreDistribution]:
        """Predictions of every epoch on a watched split, in the order of :meth:`truth`."""
        with safe_open(self.folder / "epochs.safetensors", framework="pt") as stored:
            kind = json.loads(stored.metadata()["kinds"])[split]
            names = [k for k in stored.keys() if k.startswith(f"{split}/")]  # noqa: SIM118
            tensors = {k.removeprefix(f"{split}/"): stored.get_tensor(k) for k in names}
        count = len(next(iter(tensors.values())))
        return [restore(kind, {name: t[e] for name, t in tensors.items()}) for e in range(count)]

    def splits(self) -> list[str]:
        """Names of the watched splits, in order: ``validation`` and ``test`` where they have samples."""
        return list(dict.fromkeys(row["split"] for row in self._rows()))

    def ids(self, split: str) -> list[str]:
        """Sample ids of a watched split."""
        return [row["id"] for row in self._rows() if row["split"] == split]

    def truth(self, split: str) -> np.ndarray:
        """(n,) true scores of a watched split, NaN where unknown."""
        return np.array([float(row["true"] or "nan") for row in self._rows() if row["split"] == split])

    def prediction(self, split: str, *, recalibrated: bool = False) -> ScoreDistribution:
        """(n,) distributions of the kept epoch on a watched split."""
        answer = self.epochs(split)[self.description["epoch"]]
        return self.recalibration.apply(answer) if recalibrated and self.recalibration else answer

    def _rows(self) -> list[dict[str, str]]:
        with (self.folder / "predictions.csv").open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))


def _fingerprint(recipe: Recipe, material: Material, parts: Parts) -> str:
    """Of everything that changes the outcome; several processes take other steps than one does."""
    together = [distributed.size()] if distributed.size() > 1 else []
    return features.digest([recipe.to_json(), material.fingerprint, asdict(parts), *together])


def _check_source(source: Source, target: Target) -> None:
    difficulty = torch.tensor([s.difficulty if s.difficulty is not None else float("nan") for s in source.samples])
    check_difficulty(difficulty, [s.id for s in source.samples], target)


def _describe(recipe: Recipe, material: Material, fingerprint: str) -> dict[str, Any]:
    return {
        "recipe": recipe.to_json(),
        "labels": asdict(material.dataset.labels),
        "fingerprint": fingerprint,
        "failures": dict(material.failures),
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
    watched: Mapping[str, Source],
    description: dict[str, Any],
    recipe: Recipe,
    labels: LabelSpec,
) -> None:
    runfiles.write_epochs(folder / "epochs.safetensors", history)
    with replacing(folder / "checkpoint.safetensors") as temporary:
        save_file({n: t.cpu().contiguous() for n, t in assessor.state_dict().items()}, temporary)
    kept = {name: distributions[history.best] for name, distributions in history.predictions.items()}
    write_text(folder / "predictions.csv", runfiles.predictions_csv(kept, watched))
    device = training.device_of(recipe.settings.device)
    said = {name: training.describe(assessor.to(device), source, device) for name, source in watched.items()}
    write_text(folder / "descriptions.json", runfiles.descriptions_json(said, watched, labels))
    if "validation" in watched:
        true = torch.tensor([s.score for s in watched["validation"].samples])
        fitted = recalibration.KINDS[recipe.recalibrate].fit(kept["validation"], true)
        write_text(folder / "recalibration.json", json.dumps(fitted.to_json()))
    done = {**description, "status": "finished", "epoch": history.best, "losses": history.losses}
    write_text(folder / "run.json", json.dumps(done, indent=1))
    (folder / "optimizer.pt").unlink(missing_ok=True)


def _finished(folder: Path, fingerprint: str) -> bool:
    description = runfiles.read_description(folder)
    if description["fingerprint"] != fingerprint:
        raise RunError(f"{folder}: holds a run with other settings or data; choose another folder, or delete it")
    return bool(description["status"] == "finished")
