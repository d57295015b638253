"""Figures of recorded motion: repetitions in a recording, and two recordings side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aqakit.errors import OptionError
from aqakit.explanation.comparison import Comparison, Difference
from aqakit.recordings.repetitions import Repetitions
from aqakit.report import layout
from aqakit.scores.drawing import INK, plain

_A, _B = "#4477aa", "#cc6677"
_CHANNELS = 4


def write(file: Path | None, figure: Figure | None) -> None:
    """Write a figure, if there is one.

    Raises:
        OptionError: the file is neither PDF, PNG nor SVG.
    """
    if file is None or figure is None:
        return
    if file.suffix.lower() not in layout.FORMATS:
        raise OptionError(f"--figure {file}: give a .pdf, .png or .svg file")
    layout.save(figure, file)


def repetitions(found: Repetitions, name: str) -> Figure:
    """Draw the distance from the posture of rest over time, with the repetitions shaded and numbered."""
    figure = layout.sheet(2.4, width=layout.PAGE)
    axes = figure.subplots()
    axes.plot(np.arange(len(found.away)) / found.rate, found.away, color=INK, lw=1)
    for number, one in enumerate(found.found, 1):
        axes.axvspan(one.start, one.end, color=_A, alpha=0.18, lw=0)
        axes.annotate(
            str(number), ((one.start + one.end) / 2, 1), xycoords=("data", "axes fraction"), ha="center", va="bottom"
        )
    axes.set(xlabel="seconds", ylabel="distance from rest", ylim=(0, None), xlim=(0, len(found.away) / found.rate))
    axes.set_title(name, fontsize=9, color=INK, loc="left", pad=14)
    plain(axes)
    return figure


def side_by_side(found: Comparison, names: tuple[str, str]) -> Figure:
    """Draw the channels that differ most, with the second recording at the times of the first."""
    shown = found.differences[:_CHANNELS]
    figure = layout.sheet(1.4 * len(shown) + 0.5, width=layout.PAGE)
    for axes, one in zip(np.atleast_1d(figure.subplots(len(shown), 1, sharex=True)), shown, strict=True):
        _channel(axes, found, one, names)
    axes.set_xlabel(f"seconds of {names[0]}")
    return figure


def _channel(axes: Axes, found: Comparison, one: Difference, names: tuple[str, str]) -> None:
    column = found.a.names.index(one.channel)
    time = found.pairs[:, 0] / found.a.rate
    first, second = found.a.values[found.pairs[:, 0], column], found.b.values[found.pairs[:, 1], column]
    axes.plot(time, first, color=_A, lw=1.4, label=names[0])
    axes.plot(time, second, color=_B, lw=1.4, ls="--", label=names[1])
    axes.fill_between(time, first, second, color=_B, alpha=0.12, lw=0)
    axes.plot([one.at_a] * 2, [one.a, one.b], color=INK, lw=1)
    axes.annotate(f"{one.largest:+.3g}", (one.at_a, (one.a + one.b) / 2), textcoords="offset points", xytext=(4, 0))
    axes.set_title(f"{one.channel}" + f" ({one.unit})" * bool(one.unit), fontsize=9, color=INK, loc="left")
    plain(axes)
    if one is found.differences[0]:
        axes.legend(fontsize=8, frameon=False, loc="upper right", ncols=2, bbox_to_anchor=(1, 1.3))
