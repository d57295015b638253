"""What the two multi-task systems of Parmar and Morris share: a score, attributes and a caption from one body.

The loss of the score is its squared plus its absolute error, in units of ``unit`` points (the paper prints a minus sign
before it, which cannot be meant); of the attributes the sum of their cross-entropies; of the caption the negative
log-likelihood, summed over its words. Labels that a row lacks do not count. The published code learns score ÷ 17 from
0 on; here the output layer works in quarters of the score scale around its middle, as everywhere, which changes the
conditioning and not the model.
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
from aqakit.methods.parts.heads import in_units
from aqakit.methods.parts.losses import absolute_error, squared_error
from aqakit.scores.distributions import Point
from aqakit.types import Batch, Description, LabelSpec, Stream

TasksOption = Annotated[
    Literal["stl", "cls", "cap", "mtl"] | None,
    Field(description="beside the score: nothing, attributes, captions, or both (all that the labels have)"),
]
UnitOption = Annotated[
    float | None,
    Field(gt=0, description="points that count as one in the loss of the score (17 in 104.5 of the scale)"),
]
ScoreWeightOption = Annotated[float, Field(gt=0, description="weight of the score in the loss")]
AttributeWeightOption = Annotated[float | None, Field(gt=0, description="weight of the attributes in the loss (1)")]
CaptionWeightOption = Annotated[float | None, Field(gt=0, description="weight of the caption in the loss (0.01)")]
CaptionWidthOption = Annotated[
    int | None,
    Field(gt=0, description="units of a layer of the caption's GRUs (512, or what they read if that is less)"),
]
MaxWordsOption = Annotated[
    int | None, Field(gt=0, description="where longer captions are cut (98 words: 100 tokens with start and end)")
]
SearchOption = Annotated[Literal["greedy", "beam"] | None, Field(description="how a caption is searched for (greedy)")]
BeamsOption = Annotated[int | None, Field(gt=1, description="sentences that a beam search keeps (5)")]

_WANTED = {"stl": (False, False), "cls": (True, False), "cap": (False, True), "mtl": (True, True)}


@dataclass(frozen=True)
class Plan:
    """The options that both systems share, checked against the labels.

    Attributes:
        labels: what there is to learn.
        unit: points that count as one in the loss of the score.
        score: weight of the score in the loss.
        attributes: weight of the attributes; 0 where they are not learnt.
        captions: weight of the captions; 0 where they are not learnt.
        width: most units of a layer of the caption's GRUs; None for 512 or what they read.
        words: most words of a caption.
        beams: of the search for a caption; 1 is greedy.
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
        """Classes of all attributes together."""
        return sum(self.labels.attributes.values())

    def captioner(self, width: int) -> S2VT | None:
        """A caption decoder for clips of that width, where captions are learnt."""
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
    """The options of ``owner`` with their defaults.

    Raises:
        OptionError: a task that the labels do not have, or an option that nothing would read.
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
    """Whether attributes, and whether captions, are learnt."""
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
    """A point for each video and, where the plan has them, its attributes and a caption.

    Args:
        plan: what is learnt.
        score: from what the tasks share to (B, 1), in quarters of the score scale.
        attributes: from what the tasks share to (B, classes of all attributes), if they are learnt.
        captions: the decoder, if captions are learnt.
    """

    def __init__(self, plan: Plan, *, score: nn.Module, attributes: nn.Module | None, captions: S2VT | None) -> None:
        super().__init__()
        self.plan = plan
        self.score, self.attributes, self.captions = score, attributes, captions

    @abstractmethod
    def shared(self, batch: Batch) -> Tensor:
        """(B, …) what the tasks have in common."""

    @abstractmethod
    def seen(self, batch: Batch, shared: Tensor) -> Stream:
        """(B, N, D) what the captions are made from."""

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The weighted terms of score, attributes and captions."""
        known = batch.select(batch.labelled)
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
        """B points."""
        return self._point(self.shared(batch))

    def describe(self, batch: Batch) -> Description:
        """Probabilities of each attribute's classes, and the caption that the search finds."""
        shared = self.shared(batch)
        logits = {} if self.attributes is None else self._logits(shared)
        probabilities = {name: value.softmax(1) for name, value in logits.items()}
        if self.captions is None:
            return Description(probabilities)
        seen = self.seen(batch, shared)
        return Description(probabilities, self.captions.say(seen, longest=self.plan.words, beams=self.plan.beams))

    def _point(self, shared: Tensor) -> Point:
        return Point(in_units(self.score(shared).squeeze(1), self.plan.labels.scale))

    def _error(self, shared: Tensor, score: Tensor) -> Tensor:
        point, unit = self._point(shared), self.plan.unit
        return squared_error(point, score) / unit**2 + absolute_error(point, score) / unit

    def _logits(self, shared: Tensor) -> dict[str, Tensor]:
        assert self.attributes is not None
        classes = self.plan.labels.attributes
        return dict(zip(classes, self.attributes(shared).split(list(classes.values()), 1), strict=True))


def _cross_entropy(logits: Mapping[str, Tensor], true: Mapping[str, Tensor]) -> Tensor:
    """Sum over the attributes of the mean over the rows where each is known."""
    terms = []
    for name, values in logits.items():
        known = true[name] >= 0
        terms.append(mean_loss(F.cross_entropy(values[known], true[name][known], reduction="none")))
    return torch.stack(terms).sum()


def _rows(seen: Stream, there: Tensor) -> Stream:
    return Stream(seen.features[there], seen.clips[there])
