"""An ensemble of assessors: it answers with the mixture of its members' answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from aqakit.methods.parts.base import Method
from aqakit.scores.distributions import ScoreDistribution, mixture
from aqakit.training.assessor import Assessor
from aqakit.types import Batch, Description


class Ensemble(nn.Module):
    """K assessors on the same features, with the verbs of one; a single one answers by itself.

    Args:
        members: built alike; those of several have frozen backbones.
    """

    def __init__(self, members: Sequence[Assessor]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def __len__(self) -> int:
        return len(self.members)

    @property
    def first(self) -> Assessor:
        """A member, for what all of them share."""
        return cast(Assessor, self.members[0])

    @property
    def method(self) -> Method:
        """The method of the first member."""
        return self.first.method

    @property
    def live(self) -> nn.ModuleDict:
        """Backbones that are trained in the run; empty for several members."""
        return self.first.live

    def embed(self, batch: Batch) -> Batch:
        """Compute the features of live streams; cached ones stay as they are."""
        return self.first.embed(batch)

    def predict(self, batch: Batch) -> ScoreDistribution:
        """(B,) distributions of the score."""
        return self.predict_embedded(self.embed(batch))

    def predict_embedded(self, batch: Batch) -> ScoreDistribution:
        """The same for a batch of features."""
        return mixture(self.answers(batch))

    def answers(self, batch: Batch) -> list[ScoreDistribution]:
        """The answer (B,) of each member to a batch of features."""
        return [cast(Assessor, member).predict_embedded(batch) for member in self.members]

    def describe(self, batch: Batch) -> Description:
        """What else the members say of the videos."""
        return self.describe_embedded(self.embed(batch))

    def describe_embedded(self, batch: Batch) -> Description:
        """Mean probabilities of attributes and mean boundaries over members, and the captions of the first."""
        said = [cast(Assessor, member).describe_embedded(batch) for member in self.members]
        names = said[0].attributes
        attributes = {n: torch.stack([one.attributes[n] for one in said]).mean(0) for n in names}
        boundaries = torch.stack([one.boundaries for one in said]).mean(0)
        return Description(attributes, said[0].captions, boundaries)

    def represent(self, batch: Batch) -> dict[str, Tensor]:
        """(B, D) representations of the videos by the first member, by view."""
        return self.first.represent(batch)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The loss terms of the first member."""
        return self.first.losses(batch)
