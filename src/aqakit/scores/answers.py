"""What a run answers in Python: the score of one recording as plain numbers, those of several as arrays.

``distribution`` is the whole answer. Whatever a distribution offers beyond the names below, such as ``crps``, an answer
hands on to it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib import import_module
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from torch import Tensor

from aqakit.errors import OptionError
from aqakit.scores.distributions import ScoreDistribution
from aqakit.types import Floats, ScoreScale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Doubts = Callable[[], Sequence[str]]

LEVEL = 0.9
"""Of the interval in tables."""


@dataclass(frozen=True, eq=False, repr=False)
class _Told(ABC):
    """What one answer and several have in common.

    Attributes:
        distribution: the predicted score, or scores.
        scale: of the scores.
        trust: sentences on how far scores of the run can be trusted.
        doubts: for each recording, a function that finds what must be said of it.
    """

    distribution: ScoreDistribution
    scale: ScoreScale
    trust: Sequence[str] = field(default=(), kw_only=True)
    doubts: Sequence[Doubts] = field(default=(), kw_only=True)

    @property
    @abstractmethod
    def notes(self) -> tuple[str, ...]:
        """What must be said beside the scores."""

    def to_frame(self) -> Any:
        """Return a pandas DataFrame: recording, score, std, the ends of the 90 % interval, and the difficulty.

        Raises:
            OptionError: pandas is not installed.
        """
        try:
            pandas = import_module("pandas")
        except ImportError:
            raise OptionError("a frame needs pandas: pip install pandas") from None
        return pandas.DataFrame(self._rows())

    @abstractmethod
    def _rows(self) -> list[dict[str, Any]]:
        """Return a row for each recording."""

    def _repr_html_(self) -> str:
        """Return a table for a notebook, and below it what must be said."""
        unit = escape(self.scale.unit)
        head = f"<tr><th>recording</th><th>score ({unit})</th><th>± std</th><th>90 % interval</th></tr>"
        lines = [
            f"<tr><td>{escape(row['recording'])}</td><td>{row['score']:.2f}</td><td>{row['std']:.2f}</td>"
            f"<td>{row['low_90']:.2f} – {row['high_90']:.2f}</td></tr>"
            for row in self._rows()
        ]
        said = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        return f"<table><thead>{head}</thead><tbody>{''.join(lines)}</tbody></table>{said}"

    if not TYPE_CHECKING:  # a type checker finds names that are mistyped

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_") or name == "distribution":
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            return getattr(self.distribution, name)


@dataclass(frozen=True, eq=False, repr=False)
class Answer(_Told):
    """The predicted score of one recording, in units of the sport.

    Attributes:
        recording: its name.
        difficulty: as it was declared.
    """

    recording: str = ""
    difficulty: float | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What must be said beside the score: how far the run can be trusted, and whether this is like its training."""
        return (*self.trust, *(sentence for found in self.doubts for sentence in found()))

    @property
    def mean(self) -> float:
        """Expected score: the prediction."""
        return float(self.distribution.mean)

    @property
    def std(self) -> float:
        """Standard deviation; 0 if the method states no uncertainty."""
        return float(self.distribution.std)

    @property
    def median(self) -> float:
        """The score that is exceeded half of the time."""
        return float(self.distribution.median)

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Return the ends of the central interval with probability ``level``."""
        low, high = self.distribution.interval(level)
        return float(low), float(high)

    @overload
    def quantile(self, level: float) -> float: ...
    @overload
    def quantile(self, level: Tensor) -> Tensor: ...
    def quantile(self, level: float | Tensor) -> float | Tensor:
        """Return the score at a level; a tensor (Q,) at levels (Q,)."""
        found = self.distribution.quantile(level)
        return found if isinstance(level, Tensor) else float(found)

    def cdf(self, score: float) -> float:
        """Return the probability that the score is at most this."""
        return float(self.distribution.cdf(score))

    def plot(self, axes: Axes | None = None, *, true: float | None = None) -> Figure:
        """Draw the density with its intervals, and the true score if it is known; return the figure."""
        drawing = import_module("aqakit.scores.drawing")
        figure, axes = drawing.figure_of(axes, 3.5)
        drawing.curve(axes, self.distribution, true, self.scale.unit)
        axes.set_title(self.recording, fontsize=10, loc="left", parse_math=False)
        return figure

    def __repr__(self) -> str:
        low, high = self.interval()
        return (
            f"Answer({self.recording!r}: {self.mean:.2f} {self.scale.unit}, std {self.std:.2f}, "
            f"90 % interval {low:.2f} – {high:.2f})"
        )

    def _rows(self) -> list[dict[str, Any]]:
        return Answers(
            ScoreDistribution.stack([self.distribution]), self.scale, (self.recording,), (self.difficulty,)
        )._rows()


@dataclass(frozen=True, eq=False, repr=False)
class Answers(_Told):
    """The predicted scores of n recordings, in units of the sport.

    Attributes:
        recordings: (n,) their names.
        difficulties: (n,) as they were declared.
    """

    recordings: Sequence[str] = ()
    difficulties: Sequence[float | None] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What must be said beside the scores: how far the run can be trusted, and which are unlike its training."""
        each = zip(self.recordings, self.doubts, strict=bool(self.doubts))
        return (*self.trust, *(f"{name}: {sentence}" for name, found in each for sentence in found()))

    @property
    def mean(self) -> Floats:
        """(n,) expected scores: the predictions."""
        return _array(self.distribution.mean)

    @property
    def std(self) -> Floats:
        """(n,) standard deviations."""
        return _array(self.distribution.std)

    @property
    def median(self) -> Floats:
        """(n,) scores that are exceeded half of the time."""
        return _array(self.distribution.median)

    def interval(self, level: float = LEVEL) -> tuple[Floats, Floats]:
        """Return the ends, each (n,), of the central intervals with probability ``level``."""
        low, high = self.distribution.interval(level)
        return _array(low), _array(high)

    @overload
    def quantile(self, level: float) -> Floats: ...
    @overload
    def quantile(self, level: Tensor) -> Tensor: ...
    def quantile(self, level: float | Tensor) -> Floats | Tensor:
        """Return the scores (n,) at a level; a tensor (n, Q) at levels (Q,)."""
        found = self.distribution.quantile(level)
        return found if isinstance(level, Tensor) else _array(found)

    def cdf(self, score: float) -> Floats:
        """Return the probabilities (n,) that the scores are at most this."""
        return _array(self.distribution.cdf(score))

    def plot(self, axes: Axes | None = None) -> Figure:
        """Draw the intervals of all recordings below each other; return the figure."""
        drawing = import_module("aqakit.scores.drawing")
        figure, axes = drawing.figure_of(axes, 1.2 + 0.3 * len(self))
        drawing.ranges(axes, self.recordings, self.distribution, self.scale.unit)
        return figure

    def __len__(self) -> int:
        return len(self.recordings)

    def __iter__(self) -> Iterator[Answer]:
        return (self[k] for k in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Answer: ...
    @overload
    def __getitem__(self, index: slice) -> Answers: ...
    def __getitem__(self, index: int | slice) -> Answer | Answers:
        """Return one answer, or those of a slice."""
        part, scale, trust = self.distribution.select(index), self.scale, self.trust
        if isinstance(index, slice):
            names, degrees, doubts = self.recordings[index], self.difficulties[index], self.doubts[index]
            return Answers(part, scale, names, degrees, trust=trust, doubts=doubts)
        told = self.doubts[index : index + 1 or None] if self.doubts else ()
        return Answer(part, scale, self.recordings[index], self.difficulties[index], trust=trust, doubts=told)

    def __repr__(self) -> str:
        inside = "\n".join(f"  {one!r}" for one in self[:_SHOWN])
        more = f"\n  … and {len(self) - _SHOWN} more" if len(self) > _SHOWN else ""
        return f"{len(self)} answers\n{inside}{more}"

    def _rows(self) -> list[dict[str, Any]]:
        columns = {"recording": self.recordings, "score": self.mean, "std": self.std}
        columns |= dict(zip(("low_90", "high_90"), self.interval())) | {"difficulty": self.difficulties}
        return [dict(zip(columns, values)) for values in zip(*columns.values())]


_SHOWN = 10


def _array(values: Tensor) -> Floats:
    return np.asarray(values.double().cpu().numpy())
