"""A figure as inline SVG: no external references, unique ids, colours that follow the page."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.image import imsave
from matplotlib.ticker import MaxNLocator

from aqakit.report.content import Part
from aqakit.scores.drawing import AMBER, BLUE, GREEN, GREY, INK, ORANGE, PURPLE, SKY

VARIABLES = {
    BLUE: "blue", ORANGE: "orange", GREEN: "green", GREY: "grey", PURPLE: "purple", AMBER: "amber", SKY: "sky"
}  # fmt: skip
"""Colours of figures that a page may change, with their CSS variable names."""

_STYLE: dict[Any, Any] = {
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
    **dict.fromkeys(("boxplot.boxprops.color", "boxplot.whiskerprops.color", "boxplot.capprops.color"), INK),
    "boxplot.medianprops.color": INK,
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "axes.linewidth": 0.6,
    "font.family": "sans-serif",
    "svg.fonttype": "none",  # keep text as text: small, searchable, readable by screen readers
    "svg.hashsalt": "aqakit",
}

_CURVE = 360, 150  # width of a curve and position of its axis: readable on a phone


@contextmanager
def style() -> Iterator[None]:
    """Apply the style in which figures are drawn and written."""
    with mpl.rc_context(_STYLE):
        yield


def inline(figure: Figure, name: str, label: str) -> str:
    """Return a figure as an ``<svg>`` element.

    Args:
        figure: drawn within :func:`style`.
        name: of letters, digits and hyphens, unique in the page; prefix of all ids.
        label: text alternative for readers who cannot see the figure.
    """
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None}, dpi=130)
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r'\s+xmlns(:\w+)?="[^"]*"', "", text).replace("xlink:href", "href")
    text = re.sub(r'\b(id|href)="(#?)(?!data:)', rf'\1="\2{name}-', text).replace("url(#", f"url(#{name}-")
    text = text.replace(INK, "currentColor")
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var(--{variable})")
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1))
    return text.replace("<svg", f'<svg role="img" aria-label="{html.escape(label)}"', 1)


def timeline(parts: Sequence[Part], unit: str, largest: float) -> str:
    """Draw bars over the frames of a recording: upwards for points that a part adds, downwards for points it costs.

    Args:
        parts: of the recording.
        unit: of the scores.
        largest: points of a bar of full height, the same for recordings that are compared.
    """
    start, end = min(p.first for p in parts), max(p.last for p in parts)
    bars = []
    for k, part in enumerate(parts):  # parts may overlap, so each has an equal share of the width
        height = 22 * abs(part.contribution) / (largest or 1.0)
        y = 24 - height if part.contribution >= 0 else 24
        colour = "blue" if part.contribution >= 0 else "orange"
        named = f"{part.name}, " if part.name else ""
        told = f"{named}frames {part.first} to {part.last}: {part.contribution:+.2f} {unit}"
        width = 300 / len(parts)
        bars.append(
            f'<rect x="{k * width + 1:.1f}" y="{y:.1f}" width="{width - 2:.1f}" height="{height:.1f}" '
            f'fill="var(--{colour})"><title>{html.escape(told)}</title></rect>'
        )
    values = [p.contribution for p in parts]
    label = f"clips of frames {start} to {end}: from {min(values):+.2f} to {max(values):+.2f} {unit}"
    return (
        f'<svg class="timeline" preserveAspectRatio="none" role="img" aria-label="{html.escape(label)}" '
        'viewBox="0 0 300 48">'
        f'<line x1="0" x2="300" y1="24" y2="24" stroke="currentColor" stroke-width="0.5"/>{"".join(bars)}</svg>'
        f"<p class=note>{html.escape(label)}</p>"
    )


def density(
    scores: Sequence[float],
    values: Sequence[float],
    intervals: Sequence[tuple[float, float, float]],
    mean: float,
    label: str,
) -> str:
    """Draw the density of a score: the area under a curve, darker inside the intervals, and a line at the mean.

    Args:
        scores: in equal steps.
        values: the density at these scores.
        intervals: (level, low, high) of each interval.
        mean: of the distribution.
        label: text alternative for readers who cannot see the figure.
    """
    low, high = scores[0], scores[-1]
    x = np.interp(scores, (low, high), (0, _CURVE[0]))
    y = _CURVE[1] - np.asarray(values) * (_CURVE[1] - 24) / (max(values) or 1.0)

    def area(first: float, last: float, opacity: float) -> str:
        ends = np.clip(np.interp((first, last), scores, x), 0, _CURVE[0])
        inside = (x > ends[0]) & (x < ends[1])
        across = [ends[0], ends[0], *x[inside], ends[1], ends[1]]
        up = [_CURVE[1], np.interp(ends[0], x, y), *y[inside], np.interp(ends[1], x, y), _CURVE[1]]
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(across, up))
        return f'<polygon points="{points}" fill="var(--blue)" fill-opacity="{opacity}"/>'

    drawn = [area(low, high, 0.2), *(area(first, last, 0.3) for _, first, last in intervals)]
    at = float(np.interp(mean, (low, high), (0, _CURVE[0])))
    drawn.append(f'<path d="M{at:.1f} 18V{_CURVE[1]}M0 {_CURVE[1]}H{_CURVE[0]}" stroke="currentColor" fill="none"/>')
    drawn.append(_text(at, 14, f"{mean:.1f}"))
    drawn += [_text(float(np.interp(t, (low, high), (0, _CURVE[0]))), 166, f"{t:g}") for t in _ticks(low, high)]
    return (
        f'<svg role="img" aria-label="{html.escape(label)}" viewBox="0 0 {_CURVE[0]} 172" font-size="12" '
        f'text-anchor="middle">{"".join(drawn)}</svg>'
    )


def _text(x: float, y: float, words: str) -> str:
    return f'<text x="{min(max(x, 20), _CURVE[0] - 20):.1f}" y="{y}">{words}</text>'


def _ticks(low: float, high: float) -> list[float]:
    margin = (high - low) / 18
    inside = MaxNLocator(5).tick_values(low, high)
    return [float(tick) for tick in inside if low + margin < tick < high - margin]


def picture(frame: np.ndarray) -> bytes:
    """Encode a frame, (H, W, 3) uint8, as a small JPEG."""
    out = io.BytesIO()
    imsave(out, frame, format="jpeg", pil_kwargs={"quality": 70})
    return out.getvalue()
