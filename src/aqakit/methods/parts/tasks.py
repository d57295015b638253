"""The multi-task systems of Parmar and Morris: score, attributes and captions from shared features.

The loss of the score is its squared plus its absolute error, in units of ``unit`` points (the paper prints a minus sign
before it, evidently a misprint). The loss of the attributes is the sum of their cross-entropies, and that of the
caption the negative log-likelihood summed over its words. Missing labels are ignored. The published code learns
score ÷ 17, measured from 0; here, as everywhere, the output layer works in quarters of the score scale around its
centre, which changes the conditioning but not the model.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from aqakit.errors import OptionError
from aqakit.methods.parts.base import Method, mean_loss
from aqakit.methods.parts.captions import S2VT
from aqakit.methods.parts.heads import Units
from aqakit.methods.parts.losses import absolute_error, squared_error
from aqakit.scores.distributions import Point
from aqakit.types import Batch, Description, LabelSpec, Stream

TasksOption = Annotated[
    Literal["stl", "cls", "cap", "mtl"] | None,
    Field(description="tasks besides the score: none, attributes, captions, or both (all that the labels have)"),
]
UnitOption = Annotated[
    float | None,
    Field(gt=0, description="points per unit of the score loss (17/104.5 of the scale)"),
]
ScoreWeightOption = Annotated[float, Field(gt=0, description="weight of the score in the loss")]
AttributeWeightOption = Annotated[float | None, Field(gt=0, description="weight of the attributes in the loss (1)")]
CaptionWeightOption = Annotated[float | None, Field(gt=0, description="weight of the caption in the loss (0.01)")]
CaptionWidthOption = Annotated[
    int | None,
    Field(gt=0, description="units per layer of the caption GRUs (512, or the width of their input if smaller)"),
]
MaxWordsOption = Annotated[
    int | None, Field(gt=0, description="maximum length of a caption (98 words: 100 tokens with start and end)")
]
SearchOption = Annotated[Literal["greedy", "beam"] | None, Field(description="decoding of captions (greedy)")]
BeamsOption = Annotated[int | None, Field(gt=1, description="number of beams of a beam search (5)")]

_WANTED = {"stl": (False, False), "cls": (True, False), "cap": (False, True), "mtl": (True, True)}


@dataclass(frozen=True)
class Plan:
    """Options shared by both systems, checked against the labels.

    Attributes:
        labels: Labels to learn.
        unit: Points per unit of the score loss.
        score: Weight of the score loss.
        attributes: Weight of the attribute loss; 0 if attributes are not learnt.
        captions: Weight of the caption loss; 0 if captions are not learnt.
        width: Units per layer of the caption GRUs; None for 512 or the width of their input if smaller.
        words: Maximum number of words of a caption.
        beams: Number of beams; 1 is greedy.
    """

    labels: LabelSpec
    unit: float
    score: float
    attributes: float
    captions: float
    width: int | None
    words: int
    beams: int

    @property
    def classes(self) -> int:
        """Total number of classes of all attributes."""
        return sum(self.labels.attributes.values())

    def captioner(self, width: int) -> S2VT | None:
        """Build a caption decoder for clips of this width; None if captions are not learnt."""
        if not self.captions:
            return None
        return S2VT(width, len(self.labels.vocabulary), hidden=self.width or min(512, width))


def plan(
    owner: str,
    labels: LabelSpec,
    *,
    tasks: str | None,
    unit: float | None,
    score_weight: float,
    attribute_weight: float | None,
    caption_weight: float | None,
    caption_width: int | None,
    max_words: int | None,
    search: str | None,
    beams: int | None,
) -> Plan:
    """Resolve the options of ``owner`` and their defaults.

    Raises:
        OptionError: If the labels lack a requested task, or an option would be ignored.
    """
    attributes, captions = _chosen(owner, labels, tasks)
    if not attributes:
        _refuse(owner, "attributes are not learnt", attribute_weight=attribute_weight)
    if not captions:
        given = {"caption_width": caption_width, "max_words": max_words, "search": search, "beams": beams}
        _refuse(owner, "captions are not learnt", caption_weight=caption_weight, **given)
    if search != "beam":
        _refuse(owner, "only search=beam has beams", beams=beams)
    return Plan(
        labels,
        unit=unit or labels.scale.span * 17 / 104.5,
        score=score_weight,
        attributes=(attribute_weight or 1.0) if attributes else 0.0,
        captions=(caption_weight or 0.01) if captions else 0.0,
        width=caption_width,
        words=max_words or 98,
        beams=(beams or 5) if search == "beam" else 1,
    )


def _chosen(owner: str, labels: LabelSpec, tasks: str | None) -> tuple[bool, bool]:
    """Return whether attributes and captions are learnt."""
    there = bool(labels.attributes), bool(labels.vocabulary)
    if tasks is None:
        return there
    wanted = _WANTED[tasks]
    names = ("attributes", "captions")
    missing = [name for name, want, has in zip(names, wanted, there, strict=True) if want and not has]
    if missing:
        raise OptionError(
            f"{owner}: tasks={tasks} needs {' and '.join(missing)}, which the data set does not have; "
            "leave tasks out to learn what it has"
        )
    return wanted


def _refuse(owner: str, reason: str, **given: object) -> None:
    useless = [name for name, value in given.items() if value is not None]
    if useless:
        raise OptionError(f"{owner}: {reason}; leave {' and '.join(useless)} out")


class MultiTask(Method):
    """Predict a point for each video and, depending on the plan, its attributes and a caption.

    Args:
        plan: What is learnt.
        score: Maps shared features to (B, 1), in quarters of the score scale.
        attributes: Maps shared features to (B, classes of all attributes); None if attributes are not learnt.
        captions: Caption decoder; None if captions are not learnt.
    """

    def __init__(self, plan: Plan, *, score: nn.Module, attributes: nn.Module | None, captions: S2VT | None) -> None:
        super().__init__()
        self.plan, self.units = plan, Units(plan.labels.scale)
        self.score, self.attributes, self.captions = score, attributes, captions

    @abstractmethod
    def shared(self, batch: Batch) -> Tensor:
        """Return the features (B, …) that the tasks share."""

    @abstractmethod
    def seen(self, batch: Batch, shared: Tensor) -> Stream:
        """Return the input (B, N, D) of the caption decoder."""

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Weighted losses of score, attributes and captions."""
        known = batch.labelled_rows()
        shared = self.shared(known)
        terms = {"score": self.plan.score * mean_loss(self._error(shared, known.score))}
        if self.attributes is not None:
            terms["attributes"] = self.plan.attributes * _cross_entropy(self._logits(shared), known.attributes)
        if self.captions is not None:
            seen, there = self.seen(known, shared), (known.caption >= 0).any(1)
            captions = known.caption[there, : self.plan.words]
            terms["captions"] = self.plan.captions * mean_loss(self.captions.nll(_rows(seen, there), captions))
        return terms

    def predict(self, batch: Batch) -> Point:
        """Return B points."""
        return self._point(self.shared(batch))

    def describe(self, batch: Batch) -> Description:
        """Return the class probabilities of each attribute, and the decoded captions."""
        shared = self.shared(batch)
        logits = {} if self.attributes is None else self._logits(shared)
        probabilities = {name: value.softmax(1) for name, value in logits.items()}
        if self.captions is None:
            return Description(probabilities)
        seen = self.seen(batch, shared)
        return Description(probabilities, self.captions.say(seen, longest=self.plan.words, beams=self.plan.beams))

    def _point(self, shared: Tensor) -> Point:
        return Point(self.units(self.score(shared).squeeze(1)))

    def _error(self, shared: Tensor, score: Tensor) -> Tensor:
        point, unit = self._point(shared), self.plan.unit
        return squared_error(point, score) / unit**2 + absolute_error(point, score) / unit

    def _logits(self, shared: Tensor) -> dict[str, Tensor]:
        assert self.attributes is not None
        classes = self.plan.labels.attributes
        return dict(zip(classes, self.attributes(shared).split(list(classes.values()), 1), strict=True))


def _cross_entropy(logits: Mapping[str, Tensor], true: Mapping[str, Tensor]) -> Tensor:
    """Sum over attributes of the mean cross-entropy over rows where the attribute is known."""
    terms = []
    for name, values in logits.items():
        known = true[name] >= 0
        terms.append(mean_loss(F.cross_entropy(values[known], true[name][known], reduction="none")))
    return torch.stack(terms).sum()


def _rows(seen: Stream, there: Tensor) -> Stream:
    return Stream(seen.features[there], seen.clips[there])
