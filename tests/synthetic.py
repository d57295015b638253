"""A batch whose scores can be learnt from its features: what contract tests of methods run on."""

import math
from types import ModuleType

import torch
from torch import Tensor

from aqakit.scores.rules import diving
from aqakit.types import Batch, FeatureSpec, LabelSpec, ScoreScale, Stream

LABELS = LabelSpec(
    scale=ScoreScale(0.0, 120.0),
    total=ScoreScale(0.0, 30.0),
    judges=7,
    marks=ScoreScale(0.0, 10.0),
    rule="diving",
    attributes={"position": 4, "twists": 3},
    vocabulary=("a", "forward", "back", "clean", "dive"),
    kinds=("107B", "205C", "407C", "5253B"),
    steps=("back", "entry", "forward", "pike"),
    boundaries=2,
)
WIDTH = 12
SMALL = {1: (WIDTH,), 2: (5, WIDTH), 4: (WIDTH, 2, 4, 4)}
"""Sizes of vectors, joints and maps, by their number of axes."""
FEATURES = FeatureSpec({"test": (WIDTH,)})


def small(module: ModuleType) -> FeatureSpec:
    """Features of the kind that a method reads, of sizes for a test."""
    return FeatureSpec({name: SMALL[len(shape)] for name, shape in module.FEATURES.streams.items()})


def batch(
    videos: int = 24, clips: int = 5, seed: int = 0, unlabelled: int = 0, features: FeatureSpec = FEATURES
) -> Batch:
    """Judges' marks are a smooth function of the mean feature, and the score follows from them by the rule.

    Clip counts differ from video to video. The attributes and the caption follow from the features too.
    """
    generator = torch.Generator().manual_seed(seed)
    counts = torch.randint(2, clips + 1, (videos,), generator=generator)
    mask = torch.arange(clips)[None] < counts[:, None]
    streams = {name: Stream(_features(mask, shape, generator), mask) for name, shape in features.streams.items()}
    first = next(iter(streams.values())).features
    mean = _channels(first).sum(1) / counts[:, None]  # (B, WIDTH)
    quality = mean[:, :3].sum(1).clamp(-3, 3)
    marks = (5 + 1.3 * quality[:, None] + 0.1 * torch.randn(videos, 7, generator=generator)).clamp(0, 10)
    difficulty = 2.5 + 0.2 * torch.rand(videos, generator=generator)
    score = diving(marks, difficulty)
    score[videos - unlabelled :] = math.nan
    position = mean[:, :4].argmax(1)
    return Batch(
        streams=streams,
        score=score,
        judges=marks,
        difficulty=difficulty,
        attributes={"position": position, "twists": mean[:, 4:7].argmax(1)},
        caption=torch.stack([torch.zeros_like(position), 1 + position % 3, torch.full_like(position, 4)], 1),
        group=torch.arange(videos) % 4,
        kind=position,
        steps=torch.stack([2 * (position % 2), torch.full_like(position, 3), torch.ones_like(position)], 1),
        boundaries=torch.tensor([0.3, 0.7]) + 0.05 * torch.rand(videos, 2, generator=generator),
    )


def _features(mask: Tensor, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Every video has a mean of its own in each channel; joints and places of a map vary around it."""
    videos, clips = mask.shape
    plain = torch.randn(videos, clips, *shape, generator=generator)
    common = torch.randn(videos, 1, WIDTH, generator=generator)
    own = common[:, :, None] if len(shape) == 2 else common.reshape(videos, 1, WIDTH, *[1] * (len(shape) - 1))
    return torch.where(mask.reshape(*mask.shape, *[1] * len(shape)), plain + own, 0.0)


def _channels(features: Tensor) -> Tensor:
    """(B, N, *F) → (B, N, WIDTH): the mean over joints or places."""
    if features.ndim == 4:
        return features.mean(2)
    return features.flatten(3).mean(3) if features.ndim > 4 else features
