"""What is told of one score on paper, as plain data that knows nothing of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aqakit import discovery
from aqakit.errors import AqakitError
from aqakit.explanation import moments
from aqakit.explanation.contributions import Contribution
from aqakit.explanation.moments import Moments
from aqakit.explanation.whole import Whole
from aqakit.recordings import skeletons, video
from aqakit.scores.density import smooth
from aqakit.training.run import Run
from aqakit.types import Sample, ScoreScale

LEVELS = (0.9, 0.5)


@dataclass(frozen=True)
class Bar:
    """What a part or a moment adds to the score, in points, and the standard error of that."""

    label: str
    points: float
    error: float = 0.0


@dataclass(frozen=True)
class ScoreSheet:
    """One score.

    Attributes:
        name: of the recording.
        score: the mean.
        std: standard deviation; 0 if the method states no uncertainty.
        intervals: (level, low, high) of central intervals, within the scale.
        scores, density: the distribution over the score, as points of a curve; empty if it has none.
        low, high, unit: of the scale.
        words: what cost points, the costliest first.
        bars: parts or moments, in the order in which they are drawn.
        how: a sentence on what the points of the bars are.
        trust: sentences on how far the score can be trusted.
        picture: (H, W, 3) uint8, the decisive moment; None if there is none.
        caption: of the picture.
        facts: named values below the name, such as the difficulty.
        run: what scored it, in words.
        date: when, in words.
    """

    name: str
    score: float
    std: float
    intervals: Sequence[tuple[float, float, float]]
    scores: Sequence[float]
    density: Sequence[float]
    low: float
    high: float
    unit: str
    words: Sequence[str] = ()
    bars: Sequence[Bar] = ()
    how: str = ""
    trust: Sequence[str] = ()
    picture: NDArray[np.uint8] | None = None
    caption: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    run: str = ""
    date: str = ""


def of(run: Run, whole: Whole) -> ScoreSheet:
    """Make the sheet of a score of today."""
    answer, explanation, scale = whole.answer, whole.explanation, run.labels.scale
    found = moments.of(run, whole)
    spread = float(answer.std) > 0
    scores, density = smooth(answer, whole.said, scale) if spread else (np.empty(0), np.empty(0))
    picture, caption = decisive_moment(whole.sample, found, scale.unit)
    return ScoreSheet(
        name=Path(whole.sample.id).name,
        score=float(answer.mean),
        std=float(answer.std),
        intervals=[(level, *_within(answer.interval(level), scale)) for level in LEVELS] if spread else [],
        scores=scores.tolist(),
        density=density.tolist(),
        low=scale.low,
        high=scale.high,
        unit=scale.unit,
        words=whole.findings.sentences if whole.findings else (),
        bars=_bars(whole, found),
        how=_how(whole, found, scale.unit),
        trust=explanation.notes,
        picture=picture,
        caption=caption,
        facts=_facts(whole.sample),
        run=f"{discovery.first_line('methods', run.recipe.method)} Run {run.folder}.",
        date=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %z"),
    )


def decisive_moment(sample: Sample, found: Moments, unit: str) -> tuple[NDArray[np.uint8] | None, str]:
    """Return the middle frame of the moment that changes the score most, and what it is; None if none does."""
    clip, path = found.decisive, sample.sources.get("video")
    amount = signed(clip.points)
    if float(amount.replace("−", "-")) == 0:
        return None, f"No moment changes the score by as much as 0.1 {unit}."
    said = f"The decisive moment, {moment(sample, clip)}: {amount} {unit}"
    if path is None:
        return None, said
    try:
        return video.frames(path, [(clip.first + clip.last) // 2], rate=sample.rate)[0], said
    except AqakitError:  # damaged there: the bars still tell
        return None, said


def signed(points: float) -> str:
    """Return points with their sign; none if they round to nothing.

    >>> signed(3.14), signed(-0.51), signed(-0.04)
    ('+3.1', '−0.5', '0.0')
    """
    text = f"{points:+.1f}"
    return text.replace("-", "−") if float(text) else "0.0"


def moment(sample: Sample, clip: Contribution) -> str:
    """Return when a clip is: in seconds if the recording has a clock, else by its frames or rows."""
    rate = _rate(sample)
    if rate:
        return f"{clip.first / rate:.1f} – {(clip.last + 1) / rate:.1f} s"
    what = "frames" if "video" in sample.sources else "rows"
    return f"{what} {clip.first + 1} – {clip.last + 1}"


def _rate(sample: Sample) -> float | None:
    if "video" in sample.sources:
        return video.probe(sample.sources["video"], sample.rate).rate or None
    return skeletons.read(sample.sources["skeleton"]).rate if "skeleton" in sample.sources else None


def _how(whole: Whole, found: Moments, unit: str) -> str:
    if found.greyed and not whole.explanation.parts:
        return "Points that the score loses if the moment is greyed out."
    return f"Points added to {whole.explanation.baseline:.1f} {unit}, the score of an average recording."


def _bars(whole: Whole, found: Moments) -> list[Bar]:
    """Named parts if there are any, else moments in order of time."""
    if parts := whole.explanation.parts:
        return [Bar(one.name, one.points, one.error) for one in parts]
    return [Bar(moment(whole.sample, clip), clip.points, clip.error) for clip in found.clips]


def _facts(sample: Sample) -> dict[str, str]:
    known: dict[str, Any] = {"difficulty": sample.difficulty, "kind": sample.kind, "steps": " > ".join(sample.steps)}
    return {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in known.items() if value}


def _within(ends: tuple[Any, Any], scale: ScoreScale) -> tuple[float, float]:
    low, high = (min(max(float(end), scale.low), scale.high) for end in ends)
    return low, high
