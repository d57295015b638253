"""Figures of predictions: functions that return or fill matplotlib figures, without a display, colour-blind safe."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aqakit.scores.distributions import ScoreDistribution
from aqakit.scores.drawing import AMBER, BLUE, GREEN, GREY, INK, ORANGE, PURPLE, SKY, curve, plain
from aqakit.types import Floats

SERIES = tuple(zip((BLUE, ORANGE, GREEN, PURPLE, AMBER, SKY), ("o", "s", "^", "D", "v", "P")))
"""Colour and marker of each method; either alone tells the methods apart."""

DENSE = 150
"""Above this number of points, they are drawn as one picture (rasterised)."""


def scorecard(
    frames: Sequence[np.ndarray],
    answer: ScoreDistribution,
    true: float | None,
    *,
    shown: str,
    predicted: ScoreDistribution,
    truth: np.ndarray,
    unit: str = "points",
) -> Figure:
    """Draw frames of one video, its predicted and true score, and all predictions against all true scores.

    Args:
        frames: (H, W, 3) uint8 each, in order.
        answer: the prediction for the video shown, of batch shape ().
        true: its true score, if known.
        shown: description of the video, for the title.
        predicted: (n,) predictions for a test set.
        truth: (n,) true scores of the test set.
        unit: of the scores.
    """
    figure = Figure(figsize=(10, 5.9), dpi=150, layout="constrained")
    top, bottom = cast(np.ndarray, figure.subfigures(2, 1, height_ratios=[1, 2.5]))
    filmstrip(top, frames)
    top.suptitle(textwrap.fill(shown, 120), fontsize=10, color=INK, x=0.012, ha="left")
    left, right = bottom.subplots(1, 2, width_ratios=[1.15, 1])
    curve(left, answer, true, unit)
    left.set_title("Prediction for this video", fontsize=10, loc="left")
    against_truth(right, predicted, truth, unit)
    return figure


def filmstrip(figure: Figure, frames: Sequence[np.ndarray]) -> None:
    """Draw frames side by side."""
    for axes, frame in zip(np.atleast_1d(figure.subplots(1, len(frames))), frames):
        axes.imshow(frame, interpolation="lanczos")
        axes.axis("off")


def against_truth(axes: Axes, predicted: ScoreDistribution, truth: np.ndarray, unit: str) -> None:
    """Plot predicted against true scores with 90 % intervals; intervals that miss the true score are marked."""
    low, high = (end.numpy() for end in predicted.interval(0.9))
    scatter(axes, predicted.mean.numpy(), low, high, truth, unit)
    axes.set_title(f"{len(truth)} unseen videos, 90 % intervals", fontsize=10, loc="left", pad=22)
    axes.legend(fontsize=8, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderpad=0)


def scatter(axes: Axes, mean: Floats, low: Floats, high: Floats, truth: Floats, unit: str) -> None:
    """Plot predicted means (n,) against true scores (n,), with the ends of their intervals; misses are marked."""
    points = bool((low == high).all())  # they state no interval that could miss
    held = (low <= truth) & (truth <= high) | points
    dense = len(truth) > DENSE
    marks = [(held, BLUE, "prediction" if points else "interval holds the truth")]
    marks += [] if points else [(~held, ORANGE, "interval misses it")]
    for inside, colour, name in marks:
        errors = np.stack([np.maximum(mean - low, 0), np.maximum(high - mean, 0)])[:, inside]
        label = f"{name} ({inside.sum()})"
        axes.errorbar(
            truth[inside],
            mean[inside],
            yerr=errors,
            label=label,
            fmt="o" if colour == BLUE else "D",
            ms=3,
            lw=0.7,
            alpha=0.75,
            color=colour,
            rasterized=dense,
        )
    ends = [min(truth.min(), low.min()), max(truth.max(), high.max())]
    axes.plot(ends, ends, color=GREY, lw=0.8, zorder=0)
    axes.set(xlabel=f"true score ({unit})", ylabel=f"predicted score ({unit})")
    plain(axes)


def plane(figure: Figure, position: Floats, score: Floats, unit: str) -> None:
    """Plot samples at positions (n, 2), whose axes have no meaning, coloured by score (n,)."""
    axes = figure.subplots()
    x, y = position.T
    dots = axes.scatter(x, y, c=score, cmap="viridis", s=18, edgecolors=GREY, linewidths=0.5)
    dots.set_rasterized(len(score) > DENSE)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(dots, label=f"true score ({unit})", shrink=0.85)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize="small")
