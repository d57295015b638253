"""Load a finished run and predict with it.

A run folder contains ``run.json`` (recipe, labels, data fingerprint, versions), ``checkpoint.safetensors`` (the
weights), ``epochs.safetensors`` (predictions on every watched split by epoch), ``predictions.csv`` and
``descriptions.json`` (scores, and attributes and captions if any, of the selected epoch), ``exemplars.safetensors`` (a
summary of the training videos, to explain new ones) and, if there was a validation split, ``recalibration.json``.
During training it also contains ``resume.safetensors``, from which a killed run resumes with bit-identical results.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from aqakit import discovery
from aqakit.backbones.parts.base import Backbone
from aqakit.backbones.parts.building import build_backbones
from aqakit.backbones.parts.video import VideoBackbone
from aqakit.errors import OptionError, RunError
from aqakit.features import extract, keys
from aqakit.features.appearance import appearance
from aqakit.features.engines import Engine
from aqakit.recordings.video import Report
from aqakit.scores.cross_conformal import CrossConformal
from aqakit.scores.distributions import ScoreDistribution, mixture
from aqakit.system.files import check_readable, in_utf8, user_path
from aqakit.training import batches, run_files, run_json, summary
from aqakit.training.answering import Answering
from aqakit.training.assessor import check_difficulty, check_steps
from aqakit.training.collating import collate
from aqakit.training.ensemble import Ensemble
from aqakit.training.recipe import assemble_members, make_engine
from aqakit.training.summary import TrainingSummary
from aqakit.training.trust import Provenance, Trust, check_range, is_among
from aqakit.training.watched import Watched
from aqakit.types import Batch, Description, Sample, Segment


def load(folder: Path | str) -> Run:
    """Load a finished run; see :meth:`Run.load`."""
    return Run.load(folder)


class Run(Watched, Answering):
    """A finished run.

    Attributes:
        folder: the run folder.
        recipe: the recipe of the run.
        labels: scale, judges and the rest of the specification of the labels.
        assessor: the trained model, in evaluation mode, on the CPU.
        recalibration: fitted on the validation split; None if there was no such split.
        pairs: comparisons of watched samples; none if the data set has none.
        rated: whether it was trained on pairs alone, so that its scores are percentages and those of tests are not.
    """

    def __init__(self, folder: Path, description: Mapping[str, Any], assessor: Ensemble) -> None:
        self.folder, self.description, self.assessor = folder, description, assessor
        self.recipe = run_json.recipe_of(folder, description)
        self.labels = run_json.labels_of(folder, description)
        self.recalibration = run_files.load_recalibration(folder)
        self.pairs, self.rated = run_files.read_pairs(folder), bool(description.get("rated"))

    @classmethod
    def load(cls, folder: Path | str) -> Run:
        """Load a run folder.

        Raises:
            RunError: the run is missing or not finished.
            WeightsError: its checkpoint is damaged or of another method.
        """
        folder = in_utf8(user_path(folder))
        check_readable(folder)
        description = run_json.read(folder)
        if description["status"] != "finished":
            raise RunError(f"{folder}: this run is not finished; repeat its train command to resume it")
        recipe = run_json.recipe_of(folder, description)
        assessor = assemble_members(recipe, run_json.labels_of(folder, description)).eval()
        run_files.load_weights(assessor, folder / "checkpoint.safetensors")
        return cls(folder, description, assessor)

    @cached_property
    def backbones(self) -> dict[str, Backbone]:
        """The backbones that embed recordings: the run's fine-tuned ones, or frozen ones, loaded on first use."""
        if self.assessor.live:
            return dict(self.assessor.live.items())  # type: ignore[arg-type]
        return build_backbones(self.recipe.backbones, self.recipe.settings.seed)

    @cached_property
    def engine(self) -> Engine:
        """The engine that runs the backbones; made once, since OpenVINO converts each network on its first clip."""
        return make_engine(self.recipe)

    @cached_property
    def training_summary(self) -> TrainingSummary:
        """The summary of the training videos.

        Raises:
            RunError: the file is missing or damaged.
        """
        return TrainingSummary.load(self.folder)

    @cached_property
    def trust(self) -> Trust | None:
        """How far its scores can be trusted; None if nothing was held out, or the run is of an earlier version."""
        return run_json.trust_of(self.folder, self.description)

    @cached_property
    def training_recordings(self) -> list[dict[str, Any]] | None:
        """Hashes of the recordings trained on, for :func:`~aqakit.training.trust.is_among`; None if unknown."""
        return run_files.read_training(self.folder)

    @property
    def protocol(self) -> str:
        """The name of its splits; ``usual`` if an earlier version has not written which of a data set is the first."""
        return str(self.description.get("protocol") or self.recipe.protocol or "usual")

    def doubts(self) -> list[str]:
        """Return what must be said beside every score of this run."""
        return self.trust.sentences() if self.trust else []

    def __repr__(self) -> str:
        """Say what the run is: method, backbones, data, scale, members and measured trust."""
        recipe, scale = self.recipe, self.labels.scale
        backbones = " and ".join(discovery.format_spec(*one) for one in recipe.backbones)
        data = discovery.format_spec(recipe.data, recipe.data_options) + (
            f", task {recipe.task}" if recipe.task else ""
        )
        total = ", as judges' total × difficulty" if recipe.target == "total" else ""
        lines = [
            f"Run {str(self.folder)!r}: {recipe.method} on {backbones}",
            f"learnt from {data}, fold {recipe.fold}, {recipe.members} member{'s' * (recipe.members != 1)}",
            f"scores from {scale.low:g} to {scale.high:g} {scale.unit}{total}",
        ]
        return "\n  ".join([*lines, *self.doubts()])

    def provenance(self, sample: Sample, video: Batch) -> Provenance:
        """Whether a sample, with its features (B = 1), is like the training samples, or one of them."""
        stored = (self.folder / summary.FILE).exists()
        found = self.training_summary.familiar(video, self._appearance(sample)) if stored else None
        seen = None if self.training_recordings is None else is_among(sample, self.training_recordings)
        return Provenance(found[0][0], found[1][0], seen) if found else Provenance(in_training=seen)

    def _appearance(self, sample: Sample) -> dict[str, Tensor]:
        """Appearance (1, S) of the pixels that each live backbone reads; they are decoded again, one clip at a time."""
        found = {}
        for name in self.training_summary.pixels:
            path = keys.source(sample, name, self.backbones[name])
            backbone = cast(VideoBackbone, self.backbones[name]).reader(sample)
            clips = backbone.read(path, sample.window, rate=sample.rate)
            found[name] = torch.cat([appearance(torch.from_numpy(clip)[None]) for clip in clips]).mean(0, keepdim=True)
        return found

    def sample(
        self,
        recording: Path | str | Mapping[str, Path | str],
        difficulty: float | None = None,
        window: tuple[int, int] | None = None,
        kind: str | None = None,
        steps: Sequence[str] = (),
        segments: Sequence[Segment] = (),
    ) -> Sample:
        """Make a sample without a score from a recording; the arguments are those of :meth:`predict`."""
        self.check_declared(kind, steps)
        if not isinstance(recording, Mapping):
            recording = {self.only_input(): recording}
        paths = {kind: user_path(path) for kind, path in recording.items()}
        rate = self.recipe.data_options.get("rate", "stored")  # frames are counted as in training
        name = str(next(iter(paths.values())))
        declared = {"difficulty": difficulty, "kind": kind, "steps": tuple(steps), "segments": tuple(segments)}
        return Sample(id=name, sources=paths, window=window, rate=rate, **declared)  # type: ignore[arg-type]

    def check_declared(self, kind: str | None, steps: Sequence[str]) -> None:
        """Check what is declared of a recording against what the run has learnt from.

        Raises:
            OptionError: the run knows kinds or steps, but not this kind or one of these steps.
        """
        given = {"kind": ([kind] if kind else [], self.labels.kinds), "step": (steps, self.labels.steps)}
        for what, (names, known) in given.items():
            if unknown := [name for name in names if known and name not in known]:
                close = difflib.get_close_matches(unknown[0], known, n=1)
                meant = f"; did you mean {close[0]!r}?" if close else ""
                raise OptionError(f"{self.folder}: no training recording has the {what} {unknown[0]!r}{meant}")

    def only_input(self) -> str:
        """Return the kind of recording the run reads.

        Raises:
            OptionError: the run reads several kinds, so one file is not enough.
        """
        kinds = sorted({backbone.reads for backbone in self.backbones.values()})
        if len(kinds) > 1:
            raise OptionError(f"{self.folder}: this run reads a {' and a '.join(kinds)}; score a manifest with both")
        return kinds[0]

    def predict_samples(self, samples: Sequence[Sample]) -> ScoreDistribution:
        """Predict (B,) distributions of samples, all of which must be readable; nothing is cached."""
        return self.answer(self.embed(samples))

    def assess(self, samples: Sequence[Sample]) -> tuple[ScoreDistribution, Description]:
        """Predict distributions, as :meth:`predict_samples`, and the attributes and captions of the samples."""
        batch = self.embed(samples)
        return self.answer(batch), self.describe(batch)

    def describe(self, batch: Batch) -> Description:
        """Return the attributes and captions of a batch of features."""
        with torch.inference_mode():
            return self.assessor.describe_embedded(batch)

    def answer(self, batch: Batch, shift: Tensor | float | None = None) -> ScoreDistribution:
        """Return the (B,) distributions of a batch of features, recalibrated if anything was held out from training.

        Args:
            batch: the features.
            shift: points, one number or (B,), by which the answers move before intervals are made and cut to the scale.
        """
        with torch.inference_mode():
            answers = self.assessor.answers(batch)
            if shift is not None:
                answers = [answer.affine(1.0, shift) for answer in answers]
        return self.calibrate(answers)

    def calibrate(self, answers: Sequence[ScoreDistribution]) -> ScoreDistribution:
        """Return one calibrated answer from those of all members, or their mixture if nothing was held out."""
        if isinstance(self.recalibration, CrossConformal):
            return self.recalibration.apply(answers, scale=self.labels.scale)
        return self.recalibration.apply(mixture(answers)) if self.recalibration else mixture(answers)

    def embed(self, samples: Sequence[Sample], reports: list[Report] | None = None) -> Batch:
        """Compute the features of samples, and collate them with their labels into a batch; nothing is cached.

        Args:
            samples: all of them must be readable.
            reports: extended by how well each sample could be read.
        """
        for sample in samples:
            check_range(sample.difficulty, self.description.get("difficulty"), sample.id)
        read = {name: [Report() for _ in samples] for name in self.backbones}
        features = {
            name: [self.features(sample, name, one) for sample, one in zip(samples, read[name], strict=True)]
            for name in self.backbones
        }
        if reports is not None:
            reports += [extract.worst(one) for one in zip(*read.values(), strict=True)]
        return self.collate(samples, features)

    def collate(self, samples: Sequence[Sample], features: Mapping[str, Sequence[Tensor]]) -> Batch:
        """Collate samples with their features (N_i, *F) of each stream; summarised, if the run's videos are."""
        streams = {name: batches.stack(videos, self.recipe.windows) for name, videos in features.items()}
        batch = collate(samples, self.labels, streams)
        check_difficulty(batch.difficulty, [s.id for s in samples], self.recipe.target)
        check_steps(samples, self.assessor.method)
        return batch

    def features(self, sample: Sample, name: str, report: Report | None = None) -> Tensor:
        """Compute the features (N, *F) of all clips of a sample with one backbone; nothing is cached.

        Args:
            sample: it must be readable.
            name: of the backbone.
            report: is told how well the recording could be read.
        """
        backbone = self.backbones[name]
        found = extract.embed(backbone, sample, name, self.engine, report=report)
        # A live backbone was trained on exact features, others on those rounded by the cache.
        return found if self.assessor.live else extract.compact(found, backbone).float()
