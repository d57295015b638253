"""Draw predicted scores: one as a density, several as intervals."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aqakit.scores.density import smooth
from aqakit.scores.distributions import ScoreDistribution

# Okabe and Ito's palette: distinguishable by colour-blind readers and in grey
INK, BLUE, ORANGE, GREEN, GREY = "#1b1b1b", "#0072b2", "#d55e00", "#009e73", "#8a8a8a"
PURPLE, AMBER, SKY = "#cc79a7", "#e69f00", "#56b4e9"

LEVELS = ((0.9, 0.18), (0.5, 0.3))
"""Central intervals that are drawn, and how dark."""


def curve(axes: Axes, answer: ScoreDistribution, true: float | None, unit: str) -> None:
    """Plot the density of one predicted score with its central 50 % and 90 % intervals, and the true score if known."""
    grid, density = smooth(answer)
    axes.plot(grid, density, color=BLUE, lw=1.8)
    for level, alpha in LEVELS:
        low, high = (float(end) for end in answer.interval(level))
        inside = (grid >= low) & (grid <= high)
        label = f"{level:.0%} interval {low:.1f} – {high:.1f}"
        axes.fill_between(grid, density, where=inside.tolist(), color=BLUE, alpha=alpha, lw=0, label=label)
    mean = float(answer.mean)
    axes.axvline(mean, ymax=1 / 1.45, color=BLUE, lw=1, ls="--", label=f"predicted {mean:.1f}")
    if true is not None:
        axes.axvline(true, ymax=1 / 1.45, color=ORANGE, lw=1.8, label=f"true score {true:.1f}")
    axes.set(xlabel=f"score ({unit})", ylabel="probability density (smoothed)")
    axes.set_ylim(0, 1.45 * max(density.max(), 1e-9))  # room for the legend
    axes.legend(fontsize=8, frameon=False, loc="upper left", ncols=2)
    plain(axes)


def ranges(axes: Axes, names: Sequence[str], answers: ScoreDistribution, unit: str) -> None:
    """Plot the 50 % and 90 % intervals of (n,) predicted scores below each other, and a dot at each mean."""
    rows = np.arange(len(names))
    for level, alpha in LEVELS:
        low, high = (end.double().numpy() for end in answers.interval(level))
        axes.barh(rows, high - low, left=low, height=0.5, color=BLUE, alpha=alpha, label=f"{level:.0%} interval")
    axes.plot(answers.mean.double().numpy(), rows, "o", color=BLUE, ms=5, label="mean")
    axes.set(xlabel=f"score ({unit})", ylim=(len(names) - 0.5, -0.5))
    axes.use_sticky_edges = False
    axes.autoscale(axis="x")
    axes.set_yticks(rows, names, parse_math=False)
    axes.legend(fontsize=8, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)
    plain(axes)


def figure_of(axes: Axes | None, height: float) -> tuple[Figure, Axes]:
    """Return axes to draw into with their figure, which is new if none are given, of so many inches."""
    if axes is not None:
        whole = axes.get_figure(root=True)
        assert whole is not None, "axes belong to a figure"
        return whole, axes
    made = _Shown(figsize=(6.5, height), layout="constrained")
    return made, made.subplots()


class _Shown(Figure):
    """A figure that a notebook draws; of a plain one that pyplot does not know, it would print the size."""

    def _repr_png_(self) -> bytes:
        out = BytesIO()
        self.savefig(out, format="png")
        return out.getvalue()


def plain(axes: Axes) -> None:
    """Remove the top and right spines."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize="small")
