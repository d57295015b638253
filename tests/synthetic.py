"""A batch whose scores can be learnt from its features: what contract tests of methods run on."""

import math

import torch

from aqakit.types import Batch, FeatureSpec, LabelSpec, ScoreScale, Stream

LABELS = LabelSpec(
    scale=ScoreScale(0.0, 30.0),
    judges=7,
    rule="diving",
    attributes={"position": 4, "twists": 3},
    vocabulary=("<eos>", "<sos>", "forward", "back", "dive"),
)
WIDTH = 12
FEATURES = FeatureSpec({"test": (WIDTH,)})


def batch(videos: int = 24, clips: int = 5, seed: int = 0, unlabelled: int = 0) -> Batch:
    """Scores are a smooth function of the mean feature; clip counts differ from video to video."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(videos, clips, WIDTH, generator=generator)
    features += torch.randn(videos, 1, WIDTH, generator=generator)
    counts = torch.randint(2, clips + 1, (videos,), generator=generator)
    mask = torch.arange(clips)[None] < counts[:, None]
    features = features * mask[..., None]
    quality = (features.sum(1) / counts[:, None])[:, :3].sum(1)
    score = 15 + 4 * quality.clamp(-3, 3)
    score[videos - unlabelled :] = math.nan
    return Batch(
        streams={"test": Stream(features, mask)},
        score=score,
        judges=(score[:, None] / 3 + 0.3 * torch.randn(videos, 7, generator=generator)).clamp(0, 10),
        difficulty=1.5 + 2 * torch.rand(videos, generator=generator),
        attributes={
            "position": torch.randint(4, (videos,), generator=generator),
            "twists": torch.randint(3, (videos,), generator=generator),
        },
        caption=torch.randint(2, 5, (videos, 4), generator=generator),
        group=torch.arange(videos) % 4,
    )
