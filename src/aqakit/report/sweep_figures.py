"""Figures of a sweep over shares of labels: accuracy, representations, losses of unlabelled videos, grids."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from aqakit.evaluation.sweep import Sweep
from aqakit.report.figures import DENSE, SERIES, save
from aqakit.report.semi_supervised import LossTerm, RepresentationMap, Traces
from aqakit.scores.drawing import GREY, INK, plain
from aqakit.types import Floats

Row = Mapping[str, Any]

_VIRIDIS = colormaps["viridis"].with_extremes(bad=GREY)  # bad: unknown score
_INTERVALS = "bars: 95 % bootstrap over test samples and seeds; dashed: floors"
_PANEL = (4.2, 3.4)  # inches
_LETTERS = 50  # characters of a title that fit above a panel
_COLUMNS = 3  # maximum number of panels side by side
_ASIDE = 0.018  # offset between methods, as a share of the width, so that intervals do not overlap
_DASHES = ((0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1, 2)), (0, (1, 4)), (0, (3, 1, 1, 1, 1, 1)))
_MARKERS = {"labelled": ("o", 46.0), "unlabelled": ("^", 20.0)}  # shape and size
_OTHER = ("x", 14.0)  # another view of an unlabelled video


def write(found: Sweep, traces: Traces, folder: Path) -> list[Path]:
    """Write every figure that the sweep has data for to a folder, as PNG and SVG.

    Returns:
        The PNG files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, figure in drawings(found, traces):
        for ending in ("svg", "png"):
            save(figure, folder / f"{name}.{ending}")
        files.append(folder / f"{name}.png")
    return files


def drawings(found: Sweep, traces: Traces) -> Iterator[tuple[str, Figure]]:
    """Yield names and figures, in order."""
    if len(found.shares) > 1:
        yield "shares", shares(found)
    if traces.maps:
        yield "representations", representations(traces.maps)
    if traces.terms:
        yield "unlabelled-losses", losses(traces.terms)
    for number, table in enumerate(found.grid):
        yield f"grid{number + 1 if number else ''}", grid(table.rows)


def shares(found: Sweep) -> Figure:
    """Plot Spearman against the share of labels: one panel for each task, with intervals; floors are dashed."""
    rule = found.rows[0]["rule"]
    rows = [row for row in found.of("methods") if row["rule"] in (rule, "–")]
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    lines = sum(_wrapped(name).count("\n") + 1 for name in {row["method"] for row in rows})
    figure, panels = _panels(len(tasks), legend=0.25 + 0.2 * lines)
    for axes, task in zip(panels, tasks):
        _accuracy(axes, [row for row in rows if row["task"] == task], found.shares)
        axes.set_title(f"{task}, epoch: {rule}", fontsize=10, loc="left")
    _legend(figure, panels[0].get_legend_handles_labels()[0], _INTERVALS, columns=min(len(tasks), 2))
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
        axes.plot(x, y, color=colour, marker=marker, ms=5, lw=1.4, mfc=face, label=_wrapped(name), zorder=3)
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
    figure, panels = _panels(len(maps), legend=0.45)
    scores = np.concatenate([one.score for one in maps])
    colours = ScalarMappable(Normalize(np.nanmin(scores), np.nanmax(scores)), _VIRIDIS)
    for axes, one in zip(panels, maps):
        _scatter(axes, one, colours)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_color(GREY)
        axes.set_title(one.title, fontsize=10, loc="left")
    bar = figure.colorbar(colours, ax=panels, label=f"true score ({maps[0].unit})", shrink=0.85)
    bar.outline.set_visible(False)
    kinds = dict.fromkeys(("labelled", "unlabelled", *(kind for one in maps for kind in sorted(one.kind))))
    handles = [_handle(kind) for kind in kinds]
    title = f"t-SNE of training videos, {maps[0].labels} of the labels known; axes have no unit"
    _legend(figure, handles, title, columns=len(handles))
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
    figure, panels = _panels(len(names), legend=0.5)
    for axes, name in zip(panels, names):
        for term in (t for t in terms if (t.method, t.name) == name):
            colour, _ = SERIES[order.index(term.labels) % len(SERIES)]
            _banded(axes, term.values, colour, term.labels)
        axes.set_title(f"{_wrapped(name[0])}\n{name[1]}", fontsize=8, loc="left")
        axes.set(xlabel="epoch", ylabel="loss term × its weight")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        plain(axes)
    lines = {line.get_label(): line for axes in panels for line in axes.get_lines()}
    _legend(
        figure,
        list(lines.values()),
        "labels known; mean of the runs, and the middle 80 % of them",
        len(lines),
    )
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
    figure, (axes,) = _panels(1)
    picture = axes.imshow(values, cmap="cividis", origin="lower", aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        dark = value < (np.nanmin(values) + np.nanmax(values)) / 2
        axes.text(j, i, f"{value:.3f}", ha="center", va="center", fontsize=8, color="white" if dark else INK)
    axes.set(xlabel=across, ylabel=down)
    axes.set_xticks(range(len(xs)), [f"{x:g}" for x in xs])
    axes.set_yticks(range(len(ys)), [f"{y:g}" for y in ys])
    axes.tick_params(labelsize=8, length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(
        f"{_wrapped(own[0]['method'])}\n{task}, {own[0]['labels']} of the labels, epoch: {rule}", fontsize=8, loc="left"
    )
    figure.colorbar(picture, label="Spearman ρ on test samples").outline.set_visible(False)
    return figure


def _wrapped(method: str) -> str:
    """Wrap a method with its options into lines that fit above a panel."""
    lines = textwrap.wrap(re.sub("([:/])", r" \1", method), _LETTERS, break_long_words=False)
    return "\n".join(re.sub(" ([:/])", r"\1", line) for line in lines)


def _legend(figure: Figure, handles: Sequence[Artist], title: str, columns: int = 1) -> None:
    figure.legend(
        handles=handles,
        title=title,
        ncols=columns,
        fontsize=8,
        title_fontsize=8,
        frameon=False,
        loc="outside lower left",
        alignment="left",
    )


def _panels(count: int, *, legend: float = 0.0) -> tuple[Figure, list[Axes]]:
    """Return ``count`` axes of equal size, with ``legend`` inches below them."""
    columns = 2 if count == 4 else min(count, _COLUMNS)
    lines = -(-count // columns)
    width, height = _PANEL
    figure = Figure(figsize=(width * columns, height * lines + legend), dpi=150, layout="constrained")
    every = figure.subplots(lines, columns, squeeze=False).ravel()
    for spare in every[count:]:
        spare.remove()
    return figure, list(every[:count])
