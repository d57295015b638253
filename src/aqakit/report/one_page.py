"""A score on one page of A4: words first, then what made it, and how far it can be trusted.

Drawn by Matplotlib, without a browser. Lengths are in points of 1/72 inch, from the lower left corner.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from aqakit import __version__
from aqakit.report.score_sheet import Bar, ScoreSheet, signed
from aqakit.report.text_block import draw, font, height, wrap
from aqakit.scores.drawing import BLUE, GREY, INK, ORANGE, plain
from aqakit.system.files import atomic_path

WIDTH, HEIGHT, MARGIN = 595.28, 841.89, 48.0
ROOM = WIDTH - 2 * MARGIN

_TITLE, _BIG, _HEAD, _TEXT, _SMALL = 17.0, 30.0, 12.0, 10.0, 8.0
_GAP = 14.0
_CURVE = 118.0
_LEAST, _MOST, _BAR = 120.0, 330.0, 13.0
"""Height of bars and picture together, and of one bar at least."""

_BARS = 12
"""Most bars that are drawn; those that change the score least are added up."""


def write(sheet: ScoreSheet, file: Path) -> None:
    """Write the page as PDF, in whole or not at all; its text can be searched and copied."""
    with atomic_path(file) as temporary, mpl.rc_context({"pdf.fonttype": 42}):
        draw_page(sheet).savefig(temporary, format="pdf", metadata={"Title": sheet.name, "Creator": "aqakit"})


def draw_page(sheet: ScoreSheet) -> Figure:
    """Return the page as a figure.

    Sentences that do not fit are left out, the last first, and their number is said.
    """
    figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72))
    top = _head(figure, sheet, HEIGHT - MARGIN)
    top = _score(figure, sheet, top - _GAP)
    foot = wrap(f"{sheet.run} {sheet.date}, aqakit {__version__}.", _SMALL, ROOM, most=3)
    trust = _trust(sheet)
    told = height([""], _HEAD) + sum(height(one, _TEXT) + 2 for one in trust) if trust else 0
    bottom = MARGIN / 2 + height(foot, _SMALL) + _GAP + told
    bars = fewest(sheet.bars)
    space = top - bottom - (max(_LEAST, _BAR * len(bars)) + 5 * _GAP + 2 * _HEAD if bars else _GAP)
    top = _words(figure, sheet.words, top - _GAP, space)
    if bars:
        _made(figure, sheet, bars, top - _GAP, bottom + _GAP)
    _end(figure, trust, foot, bottom)
    return figure


def _head(figure: Figure, sheet: ScoreSheet, top: float) -> float:
    top = draw(figure, wrap(sheet.name, _TITLE, ROOM, bold=True, most=3), MARGIN, top, _TITLE, bold=True, colour=INK)
    facts = ", ".join(f"{name} {value}" for name, value in sheet.facts.items())
    return draw(figure, wrap(facts, _TEXT, ROOM, most=2), MARGIN, top, _TEXT, colour=GREY)


def _score(figure: Figure, sheet: ScoreSheet, top: float) -> float:
    """The score with its intervals, and its distribution beside it."""
    half = ROOM * 0.4
    y = draw(figure, wrap(f"{sheet.score:.1f}", _BIG, half, bold=True), MARGIN, top, _BIG, bold=True, colour=INK)
    said = [f"{sheet.unit}, on a scale from {sheet.low:g} to {sheet.high:g}"]
    said += [f"{level:.0%} interval: {low:.1f} – {high:.1f}" for level, low, high in sheet.intervals]
    said += [f"give or take {sheet.std:.1f}"] if sheet.std > 0 else ["The method states no uncertainty."]
    for sentence in said:
        y = draw(figure, wrap(sentence, _TEXT, half), MARGIN, y - 2, _TEXT, colour=INK)
    if len(sheet.scores):
        axes = _axes(figure, MARGIN + half + 20, top - _CURVE + 24, ROOM - half - 20, _CURVE - 28)
        _curve(axes, sheet)
    return min(y, top - _CURVE if len(sheet.scores) else y)


def _curve(axes: Axes, sheet: ScoreSheet) -> None:
    scores, density = np.asarray(sheet.scores), np.asarray(sheet.density)
    axes.plot(scores, density, color=BLUE, lw=1.5)
    for (_, low, high), alpha in zip(sheet.intervals, (0.18, 0.3), strict=False):
        inside = (scores >= low) & (scores <= high)
        axes.fill_between(scores, density, where=inside.tolist(), color=BLUE, alpha=alpha, lw=0)
    axes.axvline(sheet.score, color=BLUE, lw=1, ls="--")
    ends = [sheet.low, sheet.high, *scores[[0, -1]]]
    axes.set(xlim=(min(ends), max(ends)), ylim=(0, None), yticks=[])
    axes.set_xlabel(f"score ({sheet.unit})", size=_SMALL, font=font(), parse_math=False)
    plain(axes)
    axes.spines["left"].set_visible(False)


def _words(figure: Figure, words: Sequence[str], top: float, space: float) -> float:
    """The words, as many as there is space for."""
    if not words:
        return top + _GAP
    top = draw(figure, ["In words"], MARGIN, top, _HEAD, bold=True, colour=INK) - 2
    space -= height(["In words"], _HEAD) + 2
    blocks = [wrap(sentence, _TEXT, ROOM - 12) for sentence in words]
    shown = len(blocks)
    while shown > 1 and sum(height(one, _TEXT) + 3 for one in blocks[:shown]) > space:
        shown -= 1
    blocks = blocks[:shown] + ([[f"… and {len(words) - shown} more"]] if shown < len(words) else [])
    for block in blocks:
        draw(figure, ["•"], MARGIN, top, _TEXT, colour=INK)
        top = draw(figure, block, MARGIN + 12, top, _TEXT, colour=INK) - 3
    return top


def _made(figure: Figure, sheet: ScoreSheet, bars: Sequence[Bar], top: float, bottom: float) -> None:
    """Bars of what made the score, and the decisive moment beside them."""
    top = draw(figure, ["What made the score"], MARGIN, top, _HEAD, bold=True, colour=INK)
    if sheet.how:
        top = draw(figure, wrap(sheet.how, _TEXT, ROOM), MARGIN, top, _TEXT, colour=GREY)
    caption = wrap(sheet.caption, _SMALL, ROOM * 0.45 if sheet.picture is not None else ROOM)
    if sheet.picture is None:
        top = draw(figure, caption, MARGIN, top, _TEXT, colour=INK) if caption else top
    tall = min(top - bottom - 16, _MOST, 40.0 + 22 * len(bars))
    wide = ROOM * (0.5 if sheet.picture is not None else 1.0)
    least = (sheet.high - sheet.low) / 50  # so that small points look small
    reach = max([least, *(abs(one.points) + one.error for one in bars)])
    _bars(_axes(figure, MARGIN, top - tall - 8, wide, tall), bars, sheet.unit, wide, reach)
    if sheet.picture is not None:
        left, room = MARGIN + ROOM * 0.55, min(top - bottom - height(caption, _SMALL) - 20, _MOST)
        y = _picture(figure, sheet.picture, left, top - 8, ROOM * 0.45, room)
        draw(figure, caption, left, y - 4, _SMALL, colour=INK)


def fewest(bars: Sequence[Bar]) -> list[Bar]:
    """Return at most :data:`_BARS` bars: the largest in their order, and the sum of the others."""
    if len(bars) <= _BARS:
        return list(bars)
    order = np.argsort([-abs(one.points) for one in bars], kind="stable")
    kept = set(order[: _BARS - 1].tolist())
    rest = [one for k, one in enumerate(bars) if k not in kept]
    others = Bar(f"{len(rest)} others", sum(one.points for one in rest), sum(one.error for one in rest))
    return [*(one for k, one in enumerate(bars) if k in kept), others]


def _bars(axes: Axes, bars: Sequence[Bar], unit: str, wide: float, reach: float) -> None:
    """Horizontal bars with their values, and labels in a column on the left."""
    labels = [wrap(one.label, _SMALL, wide * 0.36, most=1)[0] if one.label else "" for one in bars]
    axes.set_position(_moved(axes, wide * 0.38, wide * 0.62))
    for y, (bar, label) in enumerate(zip(bars, labels, strict=True)):
        colour = BLUE if bar.points >= 0 else ORANGE
        axes.barh(y, bar.points, color=colour, height=0.7, xerr=bar.error or None, ecolor=GREY)
        end = bar.points + (bar.error if bar.points >= 0 else -bar.error)
        side, shift = ("left", 3) if bar.points >= 0 else ("right", -3)
        axes.annotate(
            signed(bar.points), (end, y), (shift, 0), textcoords="offset points", ha=side, va="center", size=_SMALL
        )
        transform = axes.get_yaxis_transform()
        axes.text(
            -0.03, y, label, transform=transform, ha="right", va="center", size=_SMALL, font=font(), parse_math=False
        )
    axes.axvline(0, color=INK, lw=0.8)
    axes.set(xlim=(-1.6 * reach, 1.6 * reach), ylim=(len(bars) - 0.4, -0.6), yticks=[], xticks=[])
    axes.set_xlabel(f"points added ({unit})", size=_SMALL, font=font(), parse_math=False)
    plain(axes)
    axes.spines[["left", "bottom"]].set_visible(False)


def _moved(axes: Axes, right: float, wide: float) -> tuple[float, float, float, float]:
    box = axes.get_position()
    return box.x0 + right / WIDTH, box.y0, wide / WIDTH, box.height


def _picture(figure: Figure, picture: np.ndarray, left: float, top: float, wide: float, tall: float) -> float:
    """Draw a picture into the upper left corner of a room, and return its lower edge."""
    scale = min(wide / picture.shape[1], tall / picture.shape[0])
    high = picture.shape[0] * scale
    axes = _axes(figure, left, top - high, picture.shape[1] * scale, high)
    axes.imshow(picture, interpolation="lanczos", aspect="auto")
    axes.axis("off")
    axes.add_patch(Rectangle((0, 0), 1, 1, transform=axes.transAxes, fill=False, color=GREY, lw=0.8))
    return top - high


def _trust(sheet: ScoreSheet) -> list[list[str]]:
    """Lines of what is known of how far the score can be trusted."""
    return [wrap(f"{one[0].upper()}{one[1:]}.", _TEXT, ROOM, most=3) for one in sheet.trust[:6]]


def _end(figure: Figure, trust: Sequence[list[str]], foot: list[str], top: float) -> None:
    """The lower end of the page."""
    if trust:
        top = draw(figure, ["How far to trust it"], MARGIN, top, _HEAD, bold=True, colour=INK)
    for block in trust:
        top = draw(figure, block, MARGIN, top, _TEXT, colour=INK) - 2
    draw(figure, foot, MARGIN, MARGIN / 2 + height(foot, _SMALL), _SMALL, colour=GREY)


def _axes(figure: Figure, left: float, bottom: float, wide: float, tall: float) -> Axes:
    return figure.add_axes((left / WIDTH, bottom / HEIGHT, wide / WIDTH, tall / HEIGHT))
