"""Figures of uncertainty: coverage and width of intervals, and whether uncertain predictions have larger errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.stats import binom

from aqakit.evaluation.results import MethodResult
from aqakit.metrics import calibration
from aqakit.metrics.calibration import LEVELS, RiskCoverage
from aqakit.report import layout
from aqakit.report.figures import SERIES
from aqakit.scores.distributions import Normal
from aqakit.scores.drawing import BLUE, GREY, plain

BINS = 10
"""Number of bins of a PIT histogram."""


def reliability(figure: Figure, methods: Sequence[MethodResult]) -> None:
    """Plot the share of true scores inside central intervals against the stated probability."""
    axes = figure.subplots()
    axes.plot((0, 1), (0, 1), color=GREY, lw=0.8, label="as stated")
    for method, (colour, shape) in zip(methods, _styles(methods)):
        if method.recalibrated:
            axes.plot(LEVELS, method.coverage(LEVELS.tolist(), recalibrated=False), color=colour, lw=1.3, ls=":")
        held = method.coverage(LEVELS.tolist(), recalibrated=method.recalibrated)
        axes.plot(LEVELS, held, color=colour, lw=1.5, marker=shape, ms=3, label=method.label)
    axes.set(xlabel="stated probability of the interval", ylabel="share of true scores inside", xlim=(0, 1))
    axes.set_ylim(-0.02, 1.02)
    plain(axes)
    layout.legend(figure)


def histogram(figure: Figure, method: MethodResult) -> None:
    """Plot a histogram of PIT values, with the range of counts that holds 90 % of the bins of a calibrated method."""
    axes = figure.subplots()
    values = method.points.pit
    count = len(values)
    low, high = binom.ppf((0.05, 0.95), count, 1 / BINS)
    axes.axhspan(low, high, color=GREY, alpha=0.25, lw=0, label="90 % of bins, if calibrated")
    axes.axhline(count / BINS, color=GREY, lw=0.8)
    axes.hist(values, bins=BINS, range=(0, 1), color=BLUE, alpha=0.75, rwidth=0.92)
    axes.set(xlabel="predicted probability of a lower score (PIT)", ylabel="test predictions", xlim=(0, 1))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    plain(axes)
    layout.legend(figure)


def sharpness(figure: Figure, methods: Sequence[MethodResult], unit: str) -> None:
    """Plot the widths of the 90 % intervals of test predictions: quartiles, with whiskers from 5 % to 95 %."""
    axes = figure.subplots()
    widths = [m.points.high - m.points.low for m in methods]
    boxes = axes.boxplot(
        widths, orientation="horizontal", whis=(5, 95), showfliers=False, widths=0.5, patch_artist=True
    )
    for box, median, (colour, _) in zip(boxes["boxes"], boxes["medians"], _styles(methods)):
        box.set(facecolor=colour, alpha=0.55, linewidth=0.8)
        median.set(linewidth=1.6)
    names = [layout.wrapped(m.label, 0.4 * layout.COLUMN) for m in methods]
    axes.set_yticks(range(1, len(methods) + 1), names)
    figure.set_figheight(0.6 + len(names) * (0.25 + 0.12 * max(name.count("\n") for name in names)))
    axes.set_xlabel(f"width of the 90 % interval ({unit})")
    axes.set_xlim(left=0)
    axes.set_ylim(len(methods) + 0.5, 0.5)  # the first on top
    plain(axes)


def risk(figure: Figure, methods: Sequence[MethodResult], unit: str) -> None:
    """Plot the mean absolute error of the most certain share of the predictions."""
    axes = figure.subplots()
    for method, (colour, shape) in zip(methods, _styles(methods)):
        found = risk_coverage(method)
        every = max(1, len(found.coverage) // 8)
        marks: dict[str, Any] = {"marker": shape, "ms": 4, "markevery": every, "clip_on": False}  # the last is at 1
        axes.plot(found.coverage, found.risk, color=colour, lw=1.5, label=method.label, **marks)
    axes.set(xlabel="share of predictions kept, surest first", ylabel=f"mean absolute error ({unit})", xlim=(0, 1))
    axes.set_ylim(bottom=0)
    plain(axes)
    layout.legend(figure)


def risk_coverage(method: MethodResult) -> RiskCoverage:
    """Risk–coverage curve of all test predictions together, sorted by their standard deviation."""
    points = method.points
    answer = Normal(torch.from_numpy(points.mean), torch.from_numpy(points.std))
    return calibration.risk_coverage(answer, points.true)


def silent(method: MethodResult) -> bool:
    """Return whether a method states no uncertainty at all."""
    return bool((method.points.std == 0).all())


def _styles(methods: Sequence[MethodResult]) -> list[tuple[str, str]]:
    return [SERIES[i % len(SERIES)] for i in range(len(methods))]
