"""Everything between recordings and the numbers of an answer as one module, which :mod:`.export` writes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aqakit.backbones.parts.base import Backbone
from aqakit.scores.distributions import ScoreDistribution
from aqakit.training.run import Run
from aqakit.types import Batch, LabelSpec, Stream

LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
"""Of the quantiles among the outputs."""


class Network(nn.Module):
    """Everything between the recordings and the numbers of an answer, as one module.

    Args:
        run: a finished run.
        inside: the backbones that are part of the network, by stream.
    """

    def __init__(self, run: Run, inside: dict[str, Backbone]) -> None:
        super().__init__()
        self.run, self.assessor, self.inside = run, run.assessor, nn.ModuleDict(inside)
        self.streams = list(run.backbones)

    @property
    def names(self) -> list[str]:
        """Names of the inputs: each stream and its mask, and the declared difficulty."""
        return [*(part for name in self.streams for part in (name, f"{name}_clips")), "difficulty"]

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Pixels (B, N, T, H, W, 3) uint8 or features (B, N, *F), and masks (B, N) bool; (B,) → the outputs."""
        *parts, difficulty = inputs
        streams = {
            name: Stream(self._features(name, x, mask), mask)
            for name, x, mask in zip(self.streams, parts[::2], parts[1::2], strict=True)
        }
        answers = self.assessor.answers(unlabelled(streams, difficulty, self.run.labels))
        return numbers(self.run, self.run.calibrate(answers))

    def _features(self, name: str, x: Tensor, mask: Tensor) -> Tensor:
        if name not in self.inside:
            return x
        found = self.inside[name](x.flatten(0, 1)).float()
        found = found.unflatten(0, mask.shape)  # (B, N, *F)
        axes = [1] * (found.ndim - 2)
        if not self.assessor.live:  # as features are stored: in half precision, unless one of a video is too large
            half = found.half().float()
            fits = half.isfinite().flatten(1).all(1)
            found = torch.where(fits.reshape(-1, 1, *axes), half, found)
        return torch.where(mask.reshape(*mask.shape, *axes), found, 0.0)


def unlabelled(streams: dict[str, Stream], difficulty: Tensor, labels: LabelSpec) -> Batch:
    """A batch of streams and declared difficulties (B,) without labels."""
    unknown = torch.full_like(difficulty, torch.nan)
    no_class = torch.full_like(difficulty, -1, dtype=torch.int64)
    return Batch(
        streams=streams,
        score=unknown,
        judges=unknown[:, None].expand(-1, labels.judges),
        difficulty=difficulty,
        attributes=dict.fromkeys(labels.attributes, no_class),
        caption=no_class[:, None].expand(-1, 0),
        group=no_class,
    )


def numbers(run: Run, answer: ScoreDistribution) -> tuple[Tensor, ...]:
    """The outputs of a network: mean, standard deviation, ends of the interval within the scale, and quantiles."""
    scale = run.labels.scale
    quantiles = answer.quantile(torch.tensor(LEVELS, dtype=answer.dtype))  # (B, Q)
    low, high = quantiles[:, 0].clamp(scale.low, scale.high), quantiles[:, -1].clamp(scale.low, scale.high)
    return answer.mean.float(), answer.std.float(), low.float(), high.float(), quantiles.float()
