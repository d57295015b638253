"""Figures of a sweep over shares of labels: accuracy, representations, losses of unlabelled videos, grids."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from aqakit.evaluation.sweep import Sweep
from aqakit.report import layout, svg
from aqakit.report.figures import DENSE, SERIES
from aqakit.report.semi_supervised import LossTerm, RepresentationMap, Traces
from aqakit.scores.drawing import GREY, INK, plain
from aqakit.types import Floats

Row = Mapping[str, Any]

_VIRIDIS = colormaps["viridis"].with_extremes(bad=GREY)  # bad: unknown score
_INTERVALS = "bars: 95 % bootstrap over test samples and seeds; dashed: floors"
_HEIGHT = 2.4  # inches of a panel
_ASIDE = 0.018  # offset between methods, as a share of the width, so that intervals do not overlap
_DASHES = ((0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1, 2)), (0, (1, 4)), (0, (3, 1, 1, 1, 1, 1)))
_MARKERS = {"labelled": ("o", 46.0), "unlabelled": ("^", 20.0)}  # shape and size
_OTHER = ("x", 14.0)  # another view of an unlabelled video


def write(found: Sweep, traces: Traces, folder: Path) -> list[Path]:
    """Write every figure that the sweep has data for to a folder, as PDF, PNG and SVG.

    Returns:
        The PNG files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    with svg.style():
        for name, figure in drawings(found, traces):
            layout.save_all(figure, folder, name)
            files.append(folder / f"{name}.png")
    return files


def drawings(found: Sweep, traces: Traces) -> Iterator[tuple[str, Figure]]:
    """Yield names and figures, in order."""
    if len(found.shares) > 1:
        yield "spearman-by-labels", shares(found)
    if traces.maps:
        yield "representations", representations(traces.maps)
    if traces.terms:
        yield "unlabelled-losses", losses(traces.terms)
    for number, table in enumerate(found.grid):
        yield f"spearman-by-weights{-(number + 1) if number else ''}", grid(table.rows)


def shares(found: Sweep) -> Figure:
    """Plot Spearman against the share of labels: one panel for each task, with intervals; floors are dashed."""
    rule = found.rows[0]["rule"]
    rows = [row for row in found.of("methods") if row["rule"] in (rule, "–")]
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    figure, panels = layout.panels(len(tasks), _HEIGHT, sharey=True)
    for axes, task in zip(panels, tasks):
        _accuracy(axes, [row for row in rows if row["task"] == task], found.shares)
        axes.set_title(task, loc="left")
        axes.label_outer(remove_inner_ticks=False)
    layout.legend(figure, title=f"epoch: {rule}; {_INTERVALS}")
    return figure


def _accuracy(axes: Axes, rows: Sequence[Row], order: Sequence[str]) -> None:
    where, label = _positions(order)
    methods = list(dict.fromkeys(row["method"] for row in rows if row["rule"] != "–"))
    looks = cycle([(*look, fill) for fill in (True, False) for look in SERIES])
    for number, (name, (colour, marker, filled)) in enumerate(zip(methods, looks)):
        own = sorted((row for row in rows if row["method"] == name), key=lambda row: where[row["labels"]])
        aside = _ASIDE * (number - (len(methods) - 1) / 2)
        x = np.array([where[row["labels"]] + aside for row in own])
        y = np.array([row["spearman"] for row in own], dtype=float)
        face = colour if filled else "white"
        axes.plot(x, y, color=colour, marker=marker, ms=4, lw=1.2, mfc=face, label=name, zorder=3)
        ends = np.array([[row["low"], row["high"]] for row in own], dtype=float)
        axes.vlines(x, *ends.T, color=colour, lw=1, alpha=0.7)
    floors = list(dict.fromkeys(row["method"] for row in rows if row["rule"] == "–"))
    for name, dash in zip(floors, cycle(_DASHES)):
        own = sorted((row for row in rows if row["method"] == name), key=lambda row: where[row["labels"]])
        points = [(where[row["labels"]], row["spearman"]) for row in own]
        axes.plot(*zip(*points), color=GREY, ls=dash, lw=1.2, label=name, zorder=1)
    axes.set_xticks([where[share] for share in order], list(order))
    axes.set(xlabel=label, ylabel="Spearman ρ on test samples")
    plain(axes)


def _positions(order: Sequence[str]) -> tuple[dict[str, float], str]:
    """Position of each share: logarithmic if all are numbers of one kind, else equally spaced."""
    for ending, label in (("%", "share of training labels known (logarithmic)"), ("", "training labels (logarithmic)")):
        if all(share.endswith(ending) and share.removesuffix(ending).replace(".", "").isdigit() for share in order):
            logs = np.log([float(share.removesuffix(ending)) for share in order])
            return dict(zip(order, ((logs - logs.min()) / (np.ptp(logs) or 1.0)).tolist())), label
    return {share: number / (len(order) - 1) for number, share in enumerate(order)}, "training labels known"


def representations(maps: Sequence[RepresentationMap]) -> Figure:
    """Plot a t-SNE map of the videos for each variant: the marker shows their kind, the colour their score."""
    figure, panels = layout.panels(len(maps), _HEIGHT)
    scores = np.concatenate([one.score for one in maps])
    colours = ScalarMappable(Normalize(np.nanmin(scores), np.nanmax(scores)), _VIRIDIS)
    for axes, one in zip(panels, maps):
        _scatter(axes, one, colours)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_color(GREY)
        axes.set_title(one.title, loc="left")
    bar = figure.colorbar(colours, ax=panels, label=f"true score ({maps[0].unit})", shrink=0.85)
    bar.outline.set_visible(False)
    kinds = dict.fromkeys(("labelled", "unlabelled", *(kind for one in maps for kind in sorted(one.kind))))
    title = f"t-SNE of training videos, {maps[0].labels} of the labels known; axes have no unit"
    layout.legend(figure, {kind: _handle(kind) for kind in kinds}, title)
    return figure


def _scatter(axes: Axes, one: RepresentationMap, colours: ScalarMappable) -> None:
    kinds = np.array(one.kind)
    others = sorted(set(one.kind) - {"labelled", "unlabelled"})
    for kind in ("unlabelled", *others, "labelled"):  # the few labelled ones on top
        own = kinds == kind
        marker, size = _MARKERS.get(kind, _OTHER)
        x, y = one.position[own].T
        axes.scatter(
            x,
            y,
            s=size,
            marker=marker,
            c=colours.to_rgba(one.score[own]),
            edgecolors=INK if kind == "labelled" else None,
            linewidths=0.9,
            rasterized=len(kinds) > DENSE,
        )


def _handle(kind: str) -> Line2D:
    marker, size = _MARKERS.get(kind, _OTHER)
    edge = INK if kind == "labelled" else GREY
    return Line2D([], [], ls="", marker=marker, ms=size**0.5, mfc=GREY, mec=edge, label=kind)


def losses(terms: Sequence[LossTerm]) -> Figure:
    """Plot each loss term of each method against the epoch: mean over folds and seeds, with spread, for each share."""
    names = list(dict.fromkeys((term.method, term.name) for term in terms))
    order = list(dict.fromkeys(term.labels for term in terms))
    figure, panels = layout.panels(len(names), _HEIGHT)
    for axes, name in zip(panels, names):
        for term in (t for t in terms if (t.method, t.name) == name):
            colour, _ = SERIES[order.index(term.labels) % len(SERIES)]
            _banded(axes, term.values, colour, term.labels)
        width = figure.get_figwidth() / min(len(panels), 3) - 0.6
        axes.set_title(f"{layout.wrapped(name[0], width)}\n{name[1]}", fontsize="small", loc="left")
        axes.set(xlabel="epoch", ylabel="loss term × its weight")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        plain(axes)
    layout.legend(figure, title="labels known; mean of the runs, and the middle 80 % of them")
    return figure


def _banded(axes: Axes, values: Floats, colour: str, label: str) -> None:
    """Plot mean and spread of ``values`` (runs, epochs)."""
    epochs = np.arange(1, values.shape[1] + 1)
    axes.plot(epochs, values.mean(0), color=colour, lw=1.6, label=label)
    axes.fill_between(epochs, *np.quantile(values, (0.1, 0.9), axis=0), color=colour, alpha=0.18, lw=0)


def grid(rows: Sequence[Row]) -> Figure:
    """Plot a heat map of Spearman over the two options of a grid; the mean over tasks if there is one."""
    task, rule = rows[-1]["task"], rows[0]["rule"]
    own = [row for row in rows if (row["task"], row["rule"]) == (task, rule)]
    columns = list(own[0])
    down, across = columns[columns.index("spearman") - 2 : columns.index("spearman")]
    ys, xs = ([*dict.fromkeys(row[option] for row in own)] for option in (down, across))
    values = np.full((len(ys), len(xs)), np.nan)
    for row in own:
        values[ys.index(row[down]), xs.index(row[across])] = row["spearman"]
    figure, (axes,) = layout.panels(1, _HEIGHT)
    picture = axes.imshow(values, cmap="cividis", origin="lower", aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        dark = value < (np.nanmin(values) + np.nanmax(values)) / 2
        axes.text(j, i, f"{value:.3f}", ha="center", va="center", fontsize="small", color="white" if dark else INK)
    axes.set(xlabel=across, ylabel=down)
    axes.set_xticks(range(len(xs)), [f"{x:g}" for x in xs])
    axes.set_yticks(range(len(ys)), [f"{y:g}" for y in ys])
    axes.tick_params(labelsize="small", length=0)
    axes.spines[:].set_visible(False)
    told = (own[0]["method"], f"{task}, {own[0]['labels']} of the labels, epoch: {rule}")
    axes.set_title("\n".join(layout.wrapped(one, layout.COLUMN - 1) for one in told), fontsize="small", loc="left")
    figure.colorbar(picture, label="Spearman ρ on test samples").outline.set_visible(False)
    return figure
