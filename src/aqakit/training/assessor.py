"""The complete model: a method with backbones (if fine-tuned), standardisation, fusion and target.

An :class:`Assessor` has the main methods of a :class:`~aqakit.methods.parts.base.Method` and takes batches in the units
of the sport. The method inside does not know whether its features come from the cache or carry gradients, nor what the
target of the run is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from aqakit import discovery
from aqakit.backbones.parts.base import Backbone
from aqakit.errors import DataError, OptionError
from aqakit.methods.parts.base import Method
from aqakit.methods.parts.pooling import concatenate, standardised
from aqakit.scores.distributions import ScoreDistribution
from aqakit.system import configuration
from aqakit.system.wording import option
from aqakit.training.comparisons import PairBatch
from aqakit.training.moments import Moments
from aqakit.types import Batch, Description, FeatureSpec, LabelSpec, Sample, Stream

Target = Literal["score", "total"]
Fuse = Literal["none", "concat"]

_CLIPS_AT_ONCE = 64
"""Of live backbones, unless batch norm takes its statistics from the clips: a chunk would have its own."""


class Assessor(nn.Module):
    """Backbones, standardisation, fusion, target and a method, trained and saved as one module.

    Args:
        method: the method that predicts.
        scaling: standardises some streams, or none.
        live: backbones whose features are computed here, with gradients; empty if features come from the cache.
        target: ``score``, or ``total``: the method is trained on score ÷ declared difficulty, and its prediction is
            mapped back to the score by the exact affine map (the "with DD" settings of papers such as DAE-MT).
        fuse: ``concat`` brings all streams to a common number of clips and concatenates their channels.
        precision: autocast precision of live backbones.
    """

    def __init__(
        self,
        method: Method,
        scaling: Standardise,
        live: Mapping[str, Backbone],
        *,
        target: Target,
        fuse: Fuse,
        precision: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.method, self.scaling = method, scaling
        self.live = nn.ModuleDict(dict(live))
        self.target, self.fuse, self.precision = target, fuse, precision

    def begin_epoch(self, epoch: int) -> None:
        """Set the current epoch of the method."""
        self.method.epoch = epoch

    def start(self, train: Batch) -> None:
        """Let the method start at mean and spread of its target, from labelled training samples."""
        self.method.start(train.replace(score=train.score / train.difficulty) if self.target == "total" else train)

    def fit_scaling(self, train: Iterable[Batch]) -> None:
        """Fit mean and standard deviation of the standardised streams, on all training features and no others."""
        self.scaling.fit(train)

    def remember(self, train: Batch) -> None:
        """Pass the training set, already embedded, to a method with a memory."""
        self.method.remember(self._prepare(train))

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return the method's loss terms, in units of its target; with live backbones also its ``pixel_losses``."""
        terms = self.method.losses(self._read(batch))
        return {**terms, **self.method.pixel_losses(batch, self._read)} if self.live else terms

    def pair_losses(self, pairs: PairBatch) -> dict[str, Tensor]:
        """Return the method's losses of pairs."""
        return self.method.pair_losses(self._read(pairs.videos), pairs.weight, pairs.noise)

    def predict(self, batch: Batch) -> ScoreDistribution:
        """Predict (B,) distributions of the score, whatever the target."""
        return self.predict_embedded(self.embed(batch))

    def predict_embedded(self, batch: Batch) -> ScoreDistribution:
        """Predict, as :meth:`predict`, from a batch of features, whether the backbones are live or not."""
        answer = self.method.predict(self._prepare(batch))
        return answer.affine(batch.difficulty) if self.target == "total" else answer

    def describe(self, batch: Batch) -> Description:
        """Predict the attributes and captions of the videos."""
        return self.describe_embedded(self.embed(batch))

    def describe_embedded(self, batch: Batch) -> Description:
        """Describe, as :meth:`describe`, from a batch of features."""
        return self.method.describe(self._prepare(batch))

    def represent(self, batch: Batch) -> dict[str, Tensor]:
        """Return the method's (B, D) representations of B videos, by view; empty if it has none."""
        return self.method.representations(self._read(batch))

    def embed(self, batch: Batch) -> Batch:
        """Compute features (B, N, *F) from clips (B, N, T, H, W, 3) of live streams; cached streams are unchanged."""
        return batch.replace(streams={name: self._embed(name, stream) for name, stream in batch.streams.items()})

    def _read(self, batch: Batch) -> Batch:
        return self._prepare(self.embed(batch))

    def _prepare(self, batch: Batch) -> Batch:
        streams = {name: self.scaling(name, stream) for name, stream in batch.streams.items()}
        if self.fuse == "concat":
            streams = {"fused": concatenate(list(streams.values()))}
        score = batch.score / batch.difficulty if self.target == "total" else batch.score
        return batch.replace(streams=streams, score=score)

    def _embed(self, name: str, stream: Stream) -> Stream:
        if name not in self.live:
            return stream
        backbone = cast(Backbone, self.live[name])
        pixels = stream.shown()  # (n, T, H, W, 3)
        with torch.autocast(pixels.device.type, self.precision, enabled=self.precision != torch.float32):
            parts = [backbone(chunk) for chunk in pixels.split(_clips_at_once(backbone, len(pixels)))]
        found = torch.cat(parts).float()  # (n, *F)
        features = found.new_zeros(*stream.clips.shape, *found.shape[1:])
        features[stream.clips] = found
        return Stream(features, stream.clips)


class Losses(nn.Module):
    """An assessor whose ``forward`` returns its losses: data-parallel and functional calls are calls of ``forward``."""

    def __init__(self, assessor: Assessor) -> None:
        super().__init__()
        self.assessor = assessor

    def forward(self, batch: Batch, pairs: PairBatch | None = None) -> dict[str, Tensor]:
        """The loss terms of a batch, and those of pairs."""
        terms = self.assessor.losses(batch)
        return terms if pairs is None else terms | self.assessor.pair_losses(pairs)


def _clips_at_once(backbone: nn.Module, clips: int) -> int:
    """Return how many clips to pass at once: all of them if batch norm takes its statistics from them."""
    live = any(isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training for m in backbone.modules())
    return max(1, clips) if live else _CLIPS_AT_ONCE


class Standardise(nn.Module):
    """Standardise every channel of the named streams to zero mean and unit variance over all training clips."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        super().__init__()
        self.names = tuple(shapes)
        for name, shape in shapes.items():
            self.register_buffer(f"{name}_mean", torch.zeros(shape))
            self.register_buffer(f"{name}_spread", torch.ones(shape))

    def fit(self, train: Iterable[Batch]) -> None:
        """Fit mean and standard deviation on the clips that are not padding, in one pass over some videos at a time."""
        moments = {name: Moments() for name in self.names}
        for batch in train:
            for name, found in moments.items():
                found.add(batch.streams[name].shown())
        for name, found in moments.items():
            spread = found.spread()
            getattr(self, f"{name}_mean").copy_(found.mean)
            # a constant channel carries no information: it becomes zero, not infinite
            getattr(self, f"{name}_spread").copy_(torch.where(spread > 1e-8, spread, torch.inf))

    def forward(self, name: str, stream: Stream) -> Stream:
        """Return the stream, standardised if it is one of the named streams; padding stays zero."""
        if name not in self.names:
            return stream
        mean, spread = getattr(self, f"{name}_mean"), getattr(self, f"{name}_spread")
        mask = stream.clips.reshape(*stream.clips.shape, *[1] * mean.ndim)
        scaled = standardised(stream.features, mean, spread)
        return Stream(torch.where(mask, scaled, 0.0), stream.clips)


def assemble(
    method: str,
    options: Mapping[str, Any],
    backbones: Mapping[str, Backbone],
    labels: LabelSpec,
    *,
    target: Target = "score",
    fuse: Fuse = "none",
    finetune: bool = False,
    summarise: int = 0,
    standardise: Literal["auto", "yes", "no"] = "auto",
    precision: torch.dtype = torch.float32,
) -> Assessor:
    """Build an assessor from names and options.

    Raises:
        OptionError: a name, option or combination is invalid, or the method needs pixels and ``finetune`` is False.
    """
    shapes = {n: (3 * b.shape[0],) if summarise else b.shape for n, b in backbones.items()}
    scaled = {n for n, b in backbones.items() if standardise == "yes" or (standardise == "auto" and b.standardise)}
    scaling = Standardise({n: shape for n, shape in shapes.items() if n in scaled and not finetune})
    built = build_method(method, options, shapes, labels, target=target, fuse=fuse)
    if built.needs_pixels and not finetune:
        raise OptionError(f"method {method} with these options needs pixels: give {option('finetune', True)}")
    live = backbones if finetune else {}
    return Assessor(built, scaling, live, target=target, fuse=fuse, precision=precision)


def build_method(
    method: str,
    options: Mapping[str, Any],
    shapes: Mapping[str, tuple[int, ...]],
    labels: LabelSpec,
    *,
    target: Target,
    fuse: Fuse,
) -> Method:
    """Build the method of an assessor, for streams of these shapes.

    Raises:
        OptionError: as :func:`assemble`.
    """
    module = discovery.find("methods", method)
    checked = configuration.configure(f"method {method}", module.build, options)
    if len(shapes) > 1 and fuse == "none" and len(module.FEATURES.streams) == 1:
        raise OptionError(f"method {method} reads one stream, not {len(shapes)}; give {option('fuse', 'concat')}")
    spec = FeatureSpec(_fused(shapes) if fuse == "concat" else shapes)
    return cast(Method, module.build(spec, target_labels(labels, target), **checked))


def target_labels(labels: LabelSpec, target: Target) -> LabelSpec:
    """Return the labels as the method sees them: with target ``total``, their scale is that of the judges' total."""
    if target == "score":
        return labels
    if labels.total is None:
        raise OptionError("target total is score ÷ declared difficulty, and these labels have no difficulty")
    return replace(labels, scale=labels.total, total=None)


def check_difficulty(difficulty: Tensor, names: list[str], target: Target) -> None:
    """Check that every sample has a declared difficulty if the target is ``total``.

    Raises:
        DataError: some samples have none; the message names them.
    """
    missing = [name for name, value in zip(names, difficulty.tolist(), strict=True) if not value > 0]
    if target == "total" and missing:
        shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        raise DataError(
            f"target total needs a declared difficulty above 0; there is none for {shown}; "
            f"give {option('difficulty')}, or a column difficulty in the manifest"
        )


def check_steps(samples: Sequence[Sample], method: Method) -> None:
    """Check that every sample has declared steps if the method reads them.

    Raises:
        DataError: some samples have none; the message names them.
    """
    missing = [sample.id for sample in samples if not sample.steps] if method.reads_steps else []
    if missing:
        shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        raise DataError(
            f"the method reads the declared steps of a recording; there are none for {shown}; give a column step_list "
            "in the manifest, such as first > second > third, or steps in Python"
        )


def _fused(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    maps = [name for name, shape in shapes.items() if len(shape) != 1]
    if maps:
        raise OptionError(f"{option('fuse', 'concat')} joins vectors; {', '.join(maps)} outputs maps")
    return {"fused": (sum(width for (width,) in shapes.values()),)}
