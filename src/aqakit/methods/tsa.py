"""TSA: compares the steps of two procedures one by one.

A video is divided into its steps (take-off, flight, entry), each step attends to the same step of an exemplar, and an
MLP predicts the difference of the two scores (Xu et al. 2022, section 4). It needs data whose samples say where
their phases change. Where the public code and this implementation differ:

- *segmentation*: the convolutions of the code take the nine clips of a dive as channels, so that every video must have
  nine. Here videos of any length are interpolated to ``moments`` and the convolutions run over time; sizes are similar;
- *transitions*: the code looks for each of two transitions in its own half of the video; ``search=share`` does so, for
  any number of them. The default finds the most likely moments that rise, wherever they are;
- *true boundaries*: used in training for the first ``true_epochs`` epochs (the first quarter of the code's 200), then
  the predicted ones, which is what a new video has. Videos without known boundaries always have predicted ones;
- *exemplar's tokens*: the code attends to 7 × 7 places of the exemplar's feature maps; vectors have one place;
- *difference*: the code trains both orders of a pair and predicts with one, so that a video may differ from itself.
  Here the answer is half the difference between both orders: swapping the videos changes its sign, exactly;
- *answer*: the code averages over the voters; ``answer=votes`` gives this point. The default is the kernel density of
  the votes;
- *losses*: the difference is measured in units of the spread of the training scores, so that rates mean the same in
  every sport.

Published settings: ``match=kind``, 10 voters, ``search=share``; Adam with learning rate 1e-3 (backbone ×0.1), batches
of 8, 200 epochs.
"""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from aqakit.errors import OptionError
from aqakit.methods.parts.base import mean_loss
from aqakit.methods.parts.cross_attention import Comparison, LayersOption
from aqakit.methods.parts.exemplars import (
    SHARPEST,
    ExemplarMethod,
    Match,
    MatchOption,
    MemoryOption,
    VotersOption,
    kernel_density,
)
from aqakit.methods.parts.procedure import Search, Segmenter, pool_steps, transition_loss, transitions
from aqakit.scores.distributions import Mixture, Point
from aqakit.types import Batch, Description, FeatureSpec, LabelSpec, Stream

PAPER = (
    "Xu et al., FineDiving: A Fine-grained Dataset for Procedure-aware Action Quality Assessment, CVPR 2022. "
    "https://arxiv.org/abs/2204.03646"
)
FEATURES = FeatureSpec({"i3d": (1024,)})

WIDTH = 64
POSITIONS = 5
"""Pooled positions of a step."""


class TSA(ExemplarMethod):
    """Predict the kernel density of the exemplars' votes, or their mean, for each video; and its boundaries.

    Attributes:
        cuts: (M, P) true boundaries of the exemplars, −1 where unknown.
    """

    cuts: Tensor

    def __init__(
        self,
        features: FeatureSpec,
        labels: LabelSpec,
        *,
        voters: int,
        match: Match,
        memory: int | None,
        moments: int,
        layers: int,
        true_epochs: int,
        search: Search,
        answer: Literal["distribution", "votes"],
    ) -> None:
        super().__init__(features, labels, voters=voters, match=match, keep="clips", memory=memory)
        self.segmenter = Segmenter(features.width, width=WIDTH, moments=moments, boundaries=labels.boundaries)
        self.compare = Comparison(WIDTH, labels.scale, layers=layers)
        self.true_epochs, self.search, self.answer = true_epochs, search, answer
        self.register_memory("cuts")

    def store(self, train: Batch) -> None:
        """Store the exemplars with their clips and boundaries."""
        super().store(train)
        self.cuts = train.boundaries.nan_to_num(nan=-1)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Squared error of the difference to one exemplar, and cross-entropy of the transitions of both videos."""
        known = batch.labelled_rows()
        partner = self.partners(known, self.pool(known.features, known.clips))
        cuts = torch.cat([known.boundaries.nan_to_num(nan=-1), self.cuts[partner]])
        first, first_maps = self.segmenter(Stream(known.features, known.clips))
        second, second_maps = self.segmenter(self.clips_of(partner))
        moments, maps = torch.cat([first, second]), torch.cat([first_maps, second_maps])
        cut = (cuts >= 0).all(1)
        told = cut & (self.epoch < self.true_epochs)
        steps = self._steps(moments, torch.where(told[:, None], cuts, self._boundaries(maps)))
        video, exemplar = steps.chunk(2)
        wanted = (known.score - self.scores[partner]) / self.compare.score.units.size
        return {
            "difference": mean_loss((self.compare(video, exemplar) - wanted).square()),
            "transitions": mean_loss(transition_loss(maps[cut], cuts[cut])),
        }

    def predict(self, batch: Batch) -> Mixture | Point:
        """Return B mixtures of normals, or B points."""
        chosen = self.voters_of(batch, self.pool(batch.features, batch.clips))
        video = self._steps_of(Stream(batch.features, batch.clips))
        exemplars = self.of_voters(chosen, self._steps_of)
        difference = self.compare(video.repeat_interleave(chosen.shape[1], 0), exemplars)
        votes = self.scores[chosen] + difference.unflatten(0, chosen.shape) * self.compare.score.units.size
        return Point(votes.mean(1)) if self.answer == "votes" else kernel_density(votes, SHARPEST * self.scale.span)

    def describe(self, batch: Batch) -> Description:
        """Return the predicted boundaries of B videos."""
        return Description(boundaries=self._boundaries(self.segmenter(Stream(batch.features, batch.clips))[1]))

    def _steps_of(self, stream: Stream) -> Tensor:
        """Divide videos at the predicted boundaries, (B, N, D) → (B, P + 1, 5, width)."""
        moments, maps = self.segmenter(stream)
        return self._steps(moments, self._boundaries(maps))

    def _steps(self, moments: Tensor, boundaries: Tensor) -> Tensor:
        return pool_steps(moments, boundaries, POSITIONS)

    def _boundaries(self, maps: Tensor) -> Tensor:
        """Return predicted boundaries (B, P): the middles of the most likely moments, as shares of the recording."""
        return (transitions(maps.detach(), self.search) + 0.5) / maps.shape[1]


def build(
    features: FeatureSpec,
    labels: LabelSpec,
    *,
    voters: VotersOption = 10,
    match: MatchOption = "kind",
    memory: MemoryOption = None,
    moments: Annotated[int, Field(ge=8, description="moments to which a video is interpolated")] = 96,
    layers: LayersOption = 3,
    true_epochs: Annotated[int, Field(ge=0, description="epochs in which training uses the true boundaries")] = 50,
    search: Annotated[
        Search, Field(description="where a transition is sought: in its own equal share, or wherever they rise")
    ] = "ordered",
    answer: Annotated[
        Literal["distribution", "votes"], Field(description="prediction: kernel density of the votes, or their mean")
    ] = "distribution",
) -> TSA:
    """Build TSA for these features and labels.

    Raises:
        OptionError: If the labels have no boundaries, or more than there are moments.
    """
    if labels.boundaries == 0:
        raise OptionError(
            "method tsa compares the steps of a procedure: it needs a data set whose samples all have the same number "
            "of boundaries, the moments at which their phases change"
        )
    if labels.boundaries >= moments:
        raise OptionError(f"{labels.boundaries} boundaries need more than {moments} moments")
    return TSA(
        features,
        labels,
        voters=voters,
        match=match,
        memory=memory,
        moments=moments,
        layers=layers,
        true_epochs=true_epochs,
        search=search,
        answer=answer,
    )
