"""Figures of predictions: functions that return or fill matplotlib figures, without a display, colour-blind safe."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import gaussian_kde

from aqakit.scores.distributions import ScoreDistribution
from aqakit.system.files import atomic_path
from aqakit.types import Floats

# Okabe and Ito's palette: distinguishable by colour-blind readers and in grey
INK, BLUE, ORANGE, GREEN, GREY = "#1b1b1b", "#0072b2", "#d55e00", "#009e73", "#8a8a8a"
PURPLE, AMBER, SKY = "#cc79a7", "#e69f00", "#56b4e9"
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
    against_truth(right, predicted, truth, unit)
    return figure


def filmstrip(figure: Figure, frames: Sequence[np.ndarray]) -> None:
    """Draw frames side by side."""
    for axes, frame in zip(np.atleast_1d(figure.subplots(1, len(frames))), frames):
        axes.imshow(frame, interpolation="lanczos")
        axes.axis("off")


def curve(axes: Axes, answer: ScoreDistribution, true: float | None, unit: str) -> None:
    """Plot the density of one predicted score with its central 50 % and 90 % intervals, and the true score if known."""
    grid, density = smooth_density(answer)
    axes.plot(grid, density, color=BLUE, lw=1.8)
    for level, alpha in ((0.9, 0.18), (0.5, 0.3)):
        low, high = (float(end) for end in answer.interval(level))
        inside = (grid >= low) & (grid <= high)
        label = f"{level:.0%} interval {low:.1f} – {high:.1f}"
        axes.fill_between(grid, density, where=inside, color=BLUE, alpha=alpha, lw=0, label=label)
    mean = float(answer.mean)
    axes.axvline(mean, ymax=1 / 1.45, color=BLUE, lw=1, ls="--", label=f"predicted {mean:.1f}")
    if true is not None:
        axes.axvline(true, ymax=1 / 1.45, color=ORANGE, lw=1.8, label=f"true score {true:.1f}")
    axes.set(xlabel=f"score ({unit})", ylabel="probability density (smoothed)")
    axes.set_title("Prediction for this video", fontsize=10, loc="left")
    axes.set_ylim(0, 1.45 * max(density.max(), 1e-9))  # room for the legend
    axes.legend(fontsize=8, frameon=False, loc="upper left", ncols=2)
    plain(axes)


def smooth_density(answer: ScoreDistribution) -> tuple[Floats, Floats]:
    """Return the density of a distribution of batch shape () as a curve, 400 scores and the density at each.

    It is made of smoothed quantiles: all distributions have them, and steps between conformal levels carry no
    information.
    """
    quantiles = answer.quantile(torch.linspace(0.002, 0.998, 499)).double().numpy()
    grid = np.linspace(quantiles[0], quantiles[-1], 400)
    return grid, gaussian_kde(quantiles, bw_method=0.35)(grid) if np.ptp(quantiles) else np.zeros_like(grid)


def against_truth(axes: Axes, predicted: ScoreDistribution, truth: np.ndarray, unit: str) -> None:
    """Plot predicted against true scores with 90 % intervals; intervals that miss the true score are marked."""
    low, high = (end.numpy() for end in predicted.interval(0.9))
    scatter(axes, predicted.mean.numpy(), low, high, truth, unit)
    axes.set_title(f"{len(truth)} unseen videos, 90 % intervals", fontsize=10, loc="left")


def scatter(axes: Axes, mean: Floats, low: Floats, high: Floats, truth: Floats, unit: str) -> None:
    """Plot predicted means (n,) against true scores (n,), with the ends of their intervals; misses are marked."""
    held = (low <= truth) & (truth <= high)
    dense = len(truth) > DENSE
    for inside, colour, name in ((held, BLUE, "interval holds the truth"), (~held, ORANGE, "interval misses it")):
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
    axes.legend(fontsize=8, frameon=False, loc="upper left")
    plain(axes)


def plane(figure: Figure, position: Floats, score: Floats, unit: str) -> None:
    """Plot samples at positions (n, 2), whose axes have no meaning, coloured by score (n,)."""
    axes = figure.subplots()
    x, y = position.T
    dots = axes.scatter(x, y, c=score, cmap="viridis", s=32, edgecolors=GREY, linewidths=0.6)
    dots.set_rasterized(len(score) > DENSE)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    figure.colorbar(dots, label=f"true score ({unit})", shrink=0.85).outline.set_visible(False)


def save(figure: Figure, file: Path) -> None:
    """Write PNG or SVG, depending on the file extension, atomically."""
    with atomic_path(file) as temporary:
        figure.savefig(temporary, format=file.suffix[1:])


def plain(axes: Axes) -> None:
    """Remove the top and right spines."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
