"""RICA²: declared steps, joined as a rubric joins them.

A query for each declared step attends to the clips of a video, and a network says a normal distribution of what the
step showed. Draws of all steps are averaged within the stages of the action (take-off, flight, entry), pass one MLP,
and are averaged again; an MLP reads the score (Majeedi et al. 2024, section 3). It needs data whose samples declare
their steps; a recording without them is refused. Where the public code and this implementation differ:

- *queries*: the code has frozen vectors of a language model for the texts of the steps. The default learns a vector for
  each name. ``text`` takes vectors from an ``.npz`` file with an array for each step under its name;
- *rubric*: the code lists for each data set which steps belong to which of three stages, and for surgery puts every
  step in all three. Here the first step is a stage, the last is one, and those between are one. With ``rubric=all``,
  all steps are one, which is the rubric of surgery;
- *answer*: the code averages the scores of 20 draws, and calls the mean variance of the steps the uncertainty, which
  has no unit. Here the answer is the normal distribution with mean and standard deviation of the scores of ``draws``
  draws. They are the same in every prediction, for every video: a prediction can be repeated, and two videos differ by
  what they show. Training uses one draw of its own in each step, as published;
- *losses*: errors are in units of the spread of the training scores. The code's are in points, so that its 0.05 and
  1e-5 weigh less than here by the variance of the scores. ``ranking`` and ``sparsity`` are those of
  :mod:`aqakit.methods.tpt` with margin 1, of every head and layer; the code adds up what is missing at the ends of all
  videos of a batch and averages the rest, here all is added up for a video and averaged over videos. ``kl`` weighs the
  divergence of the steps from the standard normal, per channel;
- *attention*: what a step attends to is added to its query; the code also multiplies the query by it, and passes
  queries and clips through depthwise convolutions before each layer of attention.

Published settings: width 512; AdamW with learning rate 5e-4 (backbone ×0.3), no weight decay, batches of 8, 350 epochs,
gradients clipped to 1. With ``draws=0`` a step is a point, and so is the answer: the published deterministic variant.

Measured on 200 synthetic dives, 40 of them for testing (``synthetic_dives:count=200`` on ``skeleton:noise=0.03``, 30
epochs, one seed): Spearman 0.771 (0.612 – 0.866), mean absolute error 10.55, CRPS 7.32, 90 % intervals hold 0.950;
``core`` 0.706 (0.413 – 0.866), 12.08, 8.20, 0.875; floors: SVR 0.645, mean of the kind 0.459, difficulty 0.411. On 200
other dives (``seed=1``): 0.780, with ``draws=0`` 0.794, with a hundredth of ``ranking`` and ``sparsity`` 0.734.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from aqakit.errors import OptionError
from aqakit.methods.parts.base import DropoutOption, Method, mean_loss
from aqakit.methods.parts.centres import centres, order_loss
from aqakit.methods.parts.exemplars import SHARPEST
from aqakit.methods.parts.heads import LOG_VARIANCE_BOUND, PointHead
from aqakit.methods.parts.losses import squared_error
from aqakit.methods.parts.step_queries import StepQueries
from aqakit.scores.distributions import LocationScale, Normal, Point
from aqakit.types import Batch, FeatureSpec, LabelSpec, Stream

PAPER = (
    "Majeedi et al., RICA²: Rubric-Informed, Calibrated Assessment of Actions, ECCV 2024. "
    "https://arxiv.org/abs/2408.02138"
)
FEATURES = FeatureSpec({"i3d": (1024,)})

ABLATION: dict[str, dict[str, Any]] = {
    "one stage": {"draws": 0, "rubric": "all"},
    "deterministic": {"draws": 0},
    "stochastic": {},
}

Rubric = Literal["stages", "all"]

HEADS = 8
MARGIN = 1.0
"""Of the centres of two steps, in a video of 20 clips."""


class ClipEncoder(nn.Module):
    """Encode clips with their neighbours by two convolutions, then with all clips by layers of attention."""

    def __init__(self, inputs: int, width: int, *, layers: int, dropout: float) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv1d(size, width, 3, padding=1) for size in (inputs, width))
        self.drop = nn.Dropout(dropout)
        layer = nn.TransformerEncoderLayer(
            width, HEADS, width, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)

    def forward(self, stream: Stream) -> Tensor:
        """Map (B, N, D) to (B, N, width)."""
        there = stream.clips[..., None]
        x = torch.where(there, stream.features, 0.0)
        x = self.drop(self.first(x.mT).mT.relu() * there)
        x = self.second(x.mT).mT.relu() * there
        encoded: Tensor = self.layers(x, src_key_padding_mask=~stream.clips)
        return encoded


class StepLayer(nn.Module):
    """Steps attend to clips, not to each other, and pass an MLP; each is normalised before and added."""

    def __init__(self, width: int, *, dropout: float) -> None:
        super().__init__()
        self.of_step, self.of_clip, self.of_mlp = (nn.LayerNorm(width) for _ in range(3))
        self.attention = nn.MultiheadAttention(width, HEADS, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.drop = nn.Dropout(dropout)

    def forward(self, steps: Tensor, encoded: Tensor, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Map steps (B, S, width) and clips (B, N, width), (B, N) to steps and attention (B, heads, S, N)."""
        keys = self.of_clip(encoded)
        seen, attention = self.attention(
            self.of_step(steps), keys, keys, key_padding_mask=~clips, average_attn_weights=False
        )
        steps = steps + self.drop(seen)
        return steps + self.drop(self.mlp(self.of_mlp(steps))), attention


def stages(there: Tensor, rubric: Rubric) -> Tensor:
    """Return the share of each step in each stage, (B, S) bool → (B, G, S); all zero for a stage without steps.

    >>> stages(torch.tensor([[True, True, True, True]]), "stages")[0].tolist()
    [[1.0, 0.0, 0.0, 0.0], [0.0, 0.5, 0.5, 0.0], [0.0, 0.0, 0.0, 1.0]]
    """
    if rubric == "all":
        belongs = there[:, None]
    else:
        place, last = torch.arange(there.shape[1], device=there.device), there.sum(1, keepdim=True) - 1
        first, end = (place == 0) & there, (place == last) & (place > 0)
        belongs = torch.stack([first, there & ~first & ~end, end], 1)
    return belongs / belongs.sum(2, keepdim=True).clamp(min=1)


class RubricHead(nn.Module):
    """A score from what the steps showed: means within stages, an MLP, the mean of the stages, and an MLP."""

    def __init__(self, width: int, labels: LabelSpec, rubric: Rubric) -> None:
        super().__init__()
        self.rubric: Rubric = rubric
        self.join = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        self.hidden = nn.Sequential(nn.Linear(width, width), nn.ReLU())
        self.point = PointHead(width, labels.scale)

    def forward(self, shown: Tensor, there: Tensor) -> Point:
        """Map K draws of what S steps of B videos showed, (K, B, S, C) with (B, S) bool, to points (K, B)."""
        shares = stages(there, self.rubric)
        present = shares.sum(2, keepdim=True)  # (B, G, 1): 1, or 0 for a stage without steps
        joined = (self.join(shares @ shown) * present).sum(2) / present.sum(1)
        points: Point = self.point(self.hidden(joined).flatten(0, 1))
        return Point(points.value.unflatten(0, shown.shape[:2]))


class RICA2(Method):
    """Predict a normal distribution for each video from draws of its steps, or a point."""

    reads_steps = True

    def __init__(
        self,
        features: FeatureSpec,
        labels: LabelSpec,
        *,
        width: int,
        layers: int,
        dropout: float,
        rubric: Rubric,
        text: Path | None,
        draws: int,
        weights: dict[str, float],
    ) -> None:
        super().__init__()
        self.encode = ClipEncoder(features.width, width, layers=layers, dropout=dropout)
        self.queries = StepQueries(labels.steps, width, text)
        self.layers = nn.ModuleList(StepLayer(width, dropout=dropout) for _ in range(layers))
        channels = width // 2
        self.show = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, channels), nn.ReLU())
        self.spread = nn.Sequential(nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, 2 * channels))
        if draws == 0:
            del self.spread
        self.head = RubricHead(channels, labels, rubric)
        self.draws, self.weights = draws, weights
        self.sharpest = SHARPEST * labels.scale.span

    def remember(self, train: Batch) -> None:
        """Note which steps there are in training videos, or read the vectors of their texts."""
        self.queries.remember(train)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Squared error of a draw; order and spread of what the steps attend to; divergence from the normal."""
        known = batch.labelled_rows()
        there = known.steps >= 0
        shown, attention = self._shown(known)
        mean, deviation = self._normal(shown)
        drawn = mean + torch.randn_like(mean) * deviation if self.draws else mean
        answer = self.head(drawn[None], there)
        error = squared_error(Point(answer.value[0]), known.score) / self.head.point.units.size**2
        centre, spread = centres(attention, known.clips)  # (B, layers × heads, S)
        inside = there[:, None]
        terms = {
            "squared_error": mean_loss(error),
            "ranking": mean_loss(order_loss(centre, MARGIN, inside).mean(1)),
            "sparsity": mean_loss(((spread * inside).sum(2) / inside.sum(2).clamp(min=1)).mean(1)),
        }
        if self.draws:
            terms["kl"] = mean_loss((divergence(mean, deviation) * there).sum(1))
        return {name: self.weights.get(name, 1.0) * term for name, term in terms.items()}

    def predict(self, batch: Batch) -> LocationScale | Point:
        """Return B normal distributions, or B points."""
        mean, deviation = self._normal(self._shown(batch)[0])
        there = batch.steps >= 0
        if not self.draws:
            return Point(self.head(mean[None], there).value[0])
        noise = fixed_noise(self.draws, *mean.shape[1:]).to(mean)
        scores = self.head(mean + noise[:, None] * deviation, there).value
        return Normal.from_mean_std(scores.mean(0), scores.std(0).clamp(min=self.sharpest))

    def _shown(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return what the steps showed, (B, S, C), and attention of all layers and heads, (B, layers × heads, S, N)."""
        encoded = self.encode(Stream(batch.features, batch.clips))
        steps, found = self.queries(batch.steps), []
        for layer in self.layers:
            steps, attention = layer(steps, encoded, batch.clips)
            found.append(attention)
        return self.show(steps), torch.cat(found, 1)

    def _normal(self, shown: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of what the steps showed, (B, S, C) each; the latter is 0 for points."""
        if not self.draws:
            return shown, torch.zeros_like(shown)
        mean, log_variance = self.spread(shown).chunk(2, -1)
        return mean, (LOG_VARIANCE_BOUND * torch.tanh(log_variance / LOG_VARIANCE_BOUND) / 2).exp()


def divergence(mean: Tensor, deviation: Tensor) -> Tensor:
    """Return the divergence of normals (…, C) from the standard normal, in nats per channel: → (…).

    >>> divergence(torch.tensor([[0.0, 2.0]]), torch.ones(1, 2)).tolist()  # 0, and 2² ÷ 2
    [1.0]
    """
    return (mean.square() + deviation.square() - 2 * deviation.log() - 1).mean(-1) / 2


def fixed_noise(draws: int, steps: int, channels: int) -> Tensor:
    """Return standard normal numbers (K, S, C): the same whenever they are asked for, whatever steps come after."""
    parts = [torch.randn(draws, channels, generator=torch.Generator().manual_seed(step)) for step in range(steps)]
    return torch.stack(parts, 1) if parts else torch.empty(draws, 0, channels)


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    width: Annotated[int, Field(gt=0, multiple_of=16, description="channels of clips and steps")] = 256,
    layers: Annotated[int, Field(gt=0, description="layers of attention of the clips, and of the steps")] = 2,
    rubric: Annotated[
        Rubric, Field(description="the first step, those between and the last as three stages; or all as one")
    ] = "stages",
    text: Annotated[
        Path | None, Field(description=".npz file with a vector for each step under its name (learnt vectors)")
    ] = None,
    draws: Annotated[int, Field(ge=0, description="draws of the steps for a prediction; 0: steps are points")] = 20,
    ranking: Annotated[float, Field(ge=0, description="weight of the order of the steps in the video")] = 0.05,
    sparsity: Annotated[float, Field(ge=0, description="weight of the spread of a step over time")] = 0.05,
    kl: Annotated[
        float | None, Field(ge=0, description="weight of the divergence of the steps from the normal (1e-5)")
    ] = None,
    dropout: DropoutOption = 0.1,
) -> RICA2:
    """Build RICA² for these features and labels.

    Raises:
        OptionError: If the labels have no steps, or an option would be ignored.
    """
    if not labels.steps:
        raise OptionError(
            "method rica2 reads the steps of an action: it needs a data set whose samples declare them, such as a "
            "manifest with a column step_list"
        )
    if draws == 1:
        raise OptionError("rica2: one draw has no spread; give 2 or more, or 0 for steps that are points")
    if draws == 0 and kl is not None:
        raise OptionError("rica2: with draws=0 steps are points, which have no divergence; leave kl out")
    return RICA2(
        features,
        labels,
        width=width,
        layers=layers,
        dropout=dropout,
        rubric=rubric,
        text=text,
        draws=draws,
        weights={"ranking": ranking, "sparsity": sparsity, "kl": 1e-5 if kl is None else kl},
    )
