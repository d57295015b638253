"""HGCN: clips become shots, shots scenes, and scenes a motion.

A hierarchy of graphs over the clips of a video (Zhou et al. 2023). A clip passes on what differs between it and its
neighbours, which gives shots; shots are gathered into 7 scenes by learnt shares; in the motion, each scene sees those
before it. Each scene then says a mean and a log-variance; the score is the sum of the scenes, whose variance is the sum
of theirs, since they are independent given the video. Grouped 1 × 1 convolutions (8 groups) follow each graph.
Where the paper and its public code leave something open, or differ:

- *length*: the code has 10 clips. Here videos of any length are interpolated to ``shots``;
- *channels*: 8 groups need a multiple of 32 channels, which 1024 is; other features are filled up with zeros;
- *motion*: left out in the code unless its flag ``c`` is set, whose mask then points from later to earlier scenes and
  excludes none, as it multiplies log-odds. Here a scene sees itself and earlier ones, with shares that sum to 1;
  ``motion=no`` is the default of the code;
- *shots*: as in the code, the neighbourhood of a shot adds 1 to the log-odds and excludes none, and what is shared out
  is what a shot passes on, not what it receives;
- *loss*: the code minimises the squared error of one draw, with which the spread shrinks to nothing (``loss=sample``).
  The default is the likelihood, as in :mod:`aqakit.methods.dae`, so that the variance is an answer;
- *answer*: the code draws a sample at test too. Here the answer is the normal distribution.

Published training: Adam with learning rate 1e-4 and weight decay 1e-5, batches of 4, 200 epochs.

Measured on 200 synthetic dives, 40 of them for testing (``synthetic_dives:count=200`` on ``skeleton:noise=0.03``, 30
epochs, one seed): Spearman 0.898 (0.772 – 0.939), mean absolute error 8.04, CRPS 5.70, 90 % intervals hold 0.975;
``core`` 0.706 (0.413 – 0.866), 12.08, 8.20, 0.875; floors: SVR 0.645, mean of the kind 0.459, difficulty 0.411.
"""

from typing import Annotated, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from aqakit.errors import OptionError
from aqakit.methods.parts.base import Method, mean_loss
from aqakit.methods.parts.heads import Units
from aqakit.methods.parts.losses import location_scale_nll, reconstruction
from aqakit.methods.parts.procedure import resample
from aqakit.scores.distributions import LocationScale, Normal
from aqakit.types import Batch, FeatureSpec, LabelSpec, ScoreScale

PAPER = (
    "Zhou et al., Hierarchical Graph Convolutional Networks for Action Quality Assessment, IEEE Transactions on "
    "Circuits and Systems for Video Technology 2023. https://doi.org/10.1109/TCSVT.2023.3281413"
)
FEATURES = FeatureSpec({"i3d": (1024,)})

Loss = Literal["likelihood", "sample"]

FEWER = 4
"""How many times fewer channels the links of a graph are computed from."""


def band(nodes: int, reach: int) -> Tensor:
    """Return 1 for nodes less than ``reach`` apart, 0 for others: (N, N).

    >>> band(3, 2).tolist()
    [[1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 1.0]]
    """
    return torch.ones(nodes, nodes).tril(reach - 1).triu(1 - reach)


def mixing(inputs: int, outputs: int, groups: int) -> nn.Sequential:
    """Build a grouped 1 × 1 convolution and a ReLU: (B, inputs, N) → (B, outputs, N)."""
    return nn.Sequential(nn.Conv1d(inputs, outputs, 1, groups=groups), nn.ReLU())


class ClipGraph(nn.Module):
    """Shots: each clip, and what its neighbours differ from it in."""

    band: Tensor

    def __init__(self, inputs: int, outputs: int, groups: int, clips: int) -> None:
        super().__init__()
        self.state = mixing(inputs, inputs // FEWER, groups)
        self.mix = mixing(inputs, outputs, groups)
        self.register_buffer("band", band(clips, 2), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, D, N) to (B, outputs, N)."""
        state = self.state(x)
        apart = (state[..., :, None] - state[..., None, :]).tanh().mean(1)  # (B, from, to)
        links = (apart + torch.eye(x.shape[2], device=x.device)) * self.band
        shots: Tensor = self.mix(x @ links)
        return shots


class Links(nn.Module):
    """Log-odds of the links of a graph: scaled dot products of its nodes, plus learnt ones."""

    def __init__(self, inputs: int, groups: int, nodes: int) -> None:
        super().__init__()
        self.query, self.key = (nn.Conv1d(inputs, inputs // FEWER, 1, groups=groups, bias=False) for _ in range(2))
        self.learnt, self.weight = nn.Parameter(torch.eye(nodes)), nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, N) to (B, from, to)."""
        query, key = self.query(x), self.key(x)
        return self.weight * (query.mT @ key) / query.shape[1] ** 0.5 + self.learnt


class ShotGraph(nn.Module):
    """Convolution over the graph of shots: each shares out what it passes on, more of it to its neighbours."""

    band: Tensor

    def __init__(self, inputs: int, outputs: int, groups: int, shots: int) -> None:
        super().__init__()
        self.links = Links(inputs, groups, shots)
        self.mix = mixing(inputs, outputs, groups)
        self.register_buffer("band", band(shots, 3), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, N) to (B, outputs, N)."""
        found: Tensor = self.mix(x @ (self.links(x) + self.band).softmax(2))
        return found


class Scenes(nn.Module):
    """Scenes: sums of convolved shots, weighted by learnt shares and by what the shots say themselves."""

    def __init__(self, inputs: int, outputs: int, groups: int, shots: int, scenes: int) -> None:
        super().__init__()
        self.shots = ShotGraph(inputs, outputs, groups, shots)
        self.members = ShotGraph(inputs, scenes, 1, shots)
        self.shares, self.weight = nn.Parameter(torch.ones(scenes, shots)), nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, N) to (B, outputs, S)."""
        scenes: Tensor = self.shots(x) @ (self.shares + self.weight * self.members(x)).mT
        return scenes


class Motion(nn.Module):
    """Scenes that have seen themselves and those before them."""

    def __init__(self, inputs: int, outputs: int, groups: int, scenes: int) -> None:
        super().__init__()
        self.links = Links(inputs, groups, scenes)
        self.mix = mixing(inputs, outputs, groups)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, S) to (B, outputs, S)."""
        links = self.links(x)
        later = torch.ones_like(links[0], dtype=torch.bool).tril(-1)  # from a scene to one before it
        found: Tensor = self.mix(x @ links.masked_fill(later, -torch.inf).softmax(1))
        return found


class SceneHead(nn.Module):
    """A normal for each scene, in the units of the sport; their means begin at an equal share of the centre."""

    def __init__(self, width: int, scenes: int, scale: ScoreScale) -> None:
        super().__init__()
        self.mean, self.log_variance = (nn.Conv1d(width, 1, 1) for _ in range(2))
        self.scenes, self.units = scenes, Units(scale)

    def forward(self, scenes: Tensor) -> LocationScale:
        """Map (B, C, S) to normals (B, S)."""
        mean, log_variance = (layer(scenes).squeeze(1) for layer in (self.mean, self.log_variance))
        mean = self.units.centre / self.scenes + mean * self.units.size
        return Normal.from_mean_std(mean, self.units.spread(log_variance))

    @torch.no_grad()
    def start_at(self, score: Tensor) -> None:
        """Start with scenes whose sum has the mean and the spread of the training scores (n,)."""
        self.units.start_at(score)
        share = -torch.tensor(float(self.scenes)).log()  # the log-variance of one of them
        for layer, bias in (
            (self.mean, 0 * share),
            (self.log_variance, self.units.bound * (share / self.units.bound).atanh()),
        ):
            layer.weight.mul_(0.1)
            cast(Tensor, layer.bias).copy_(bias)


def total(scenes: LocationScale) -> LocationScale:
    """Return the sums of independent normals, (B, S) → (B,): means and variances add.

    >>> both = total(Normal.from_mean_std(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]])))
    >>> both.mean.item(), both.std.item()
    (3.0, 5.0)
    """
    return Normal.from_mean_std(scenes.mean.sum(1), scenes.std.square().sum(1).sqrt())


class HGCN(Method):
    """Predict a normal distribution for each video, the sum of those of its scenes."""

    def __init__(
        self,
        inputs: int,
        scale: ScoreScale,
        *,
        shots: int,
        scenes: int,
        width: int,
        groups: int,
        motion: bool,
        loss: Loss,
    ) -> None:
        super().__init__()
        step = FEWER * groups
        self.channels, self.moments, self.loss = -(-inputs // step) * step, shots, loss
        self.shots = ClipGraph(self.channels, width, groups, shots)
        self.scenes = Scenes(width, width // 2, groups, shots, scenes)
        link: nn.Module = Motion(width // 2, width // 4, groups, scenes)
        self.motion = link if motion else mixing(width // 2, width // 4, groups)
        self.head = SceneHead(width // 4, scenes, scale)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Negative log-likelihood of the score, or the squared error of a draw."""
        known = batch.labelled_rows()
        answer = self.predict(known)
        if self.loss == "likelihood":
            return {"likelihood": mean_loss(location_scale_nll(answer, known.score))}
        error = reconstruction(answer, known.score, torch.randn_like(answer.mean))
        return {"sample": mean_loss(error) / self.head.units.size**2}

    def predict(self, batch: Batch) -> LocationScale:
        """Return B normal distributions."""
        return total(self.by_scene(batch))

    def by_scene(self, batch: Batch) -> LocationScale:
        """Return the normal of each scene, (B, S), in the units of the sport."""
        x = resample(batch.features, batch.clips, self.moments).mT
        x = F.pad(x, (0, 0, 0, self.channels - x.shape[1]))
        found: LocationScale = self.head(self.motion(self.scenes(self.shots(x))))
        return found


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    shots: Annotated[int, Field(ge=2, description="moments to which a video is interpolated, each a shot")] = 10,
    scenes: Annotated[int, Field(ge=1, le=32, description="scenes, each of which gives a part of the score")] = 7,
    width: Annotated[
        int, Field(gt=0, multiple_of=16, description="channels of a shot; a scene has half of them")
    ] = 512,
    groups: Annotated[int, Field(ge=1, description="groups of the convolutions; a divisor of width ÷ 8")] = 8,
    motion: Annotated[bool, Field(description="let each scene see the scenes before it")] = True,
    loss: Annotated[
        Loss, Field(description="likelihood of the score, or squared error of a draw, as in the public code")
    ] = "likelihood",
) -> HGCN:
    """Build HGCN.

    Raises:
        ValueError: If the features are not one vector per clip.
        OptionError: If the groups do not divide an eighth of the width.
    """
    if width // 8 % groups:
        raise OptionError(f"hgcn: {groups} groups do not divide {width // 8}, an eighth of the width")
    sizes = {"shots": shots, "scenes": scenes, "width": width, "groups": groups}
    return HGCN(features.width, labels.scale, **sizes, motion=motion, loss=loss)
