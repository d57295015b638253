"""Figures over the epochs of training: range of the predicted spread, and the losses of several methods together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from aqakit.evaluation.results import MethodResult
from aqakit.evaluation.selection import Epochs
from aqakit.report import layout
from aqakit.report.content import Study, TaskResult
from aqakit.report.figures import SERIES
from aqakit.scores.drawing import BLUE, plain
from aqakit.types import Floats

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Levels of the quantiles of the predicted standard deviations."""

_HEIGHT = 2.1  # inches of a panel
_FEW = 1000  # an axis that spans less has ticks at 2 and 5 as well


def spread_quantiles(method: MethodResult) -> Floats:
    """Return quantiles (E, 5) at ``LEVELS`` of the standard deviations predicted of all test samples, by epoch.

    The samples of all folds and seeds count alike. Empty for points (also for mixtures of points, whose spread is only
    that between the members of an ensemble), for a single epoch, and for files of predictions.
    """
    stds, points = method.stds, any(f.answer.kind.endswith("point") for f in method.folds)
    return np.quantile(stds, LEVELS, axis=1).T if len(stds) > 1 and not points else np.empty((0, len(LEVELS)))


def data(task: TaskResult) -> dict[str, dict[str, Floats]]:
    """Return the numbers of the figures: for each method, its losses and the quantiles of its spread."""
    return {m.label: {"losses": m.losses, "spread_quantiles": spread_quantiles(m)} for m in task.compared}


def with_spread(study: Study) -> dict[str, list[TaskResult]]:
    """Map the methods with a spread, in order, to the tasks on which they have one."""
    found: dict[str, list[TaskResult]] = {}
    for task in study.tasks:
        for method in task.compared:
            if spread_quantiles(method).size:
                found.setdefault(method.label, []).append(task)
    return found


def spread(label: str, tasks: Sequence[TaskResult]) -> Figure:
    """Plot the range of one method's predicted standard deviation after each epoch, a panel for each task."""
    figure, panels = layout.panels(len(tasks), _HEIGHT)
    for axes, task in zip(panels, tasks):
        (method,) = (m for m in task.compared if m.label == label)
        _ranges(axes, method.epochs + 1, spread_quantiles(method))
        _dress(axes, task.name if len(tasks) > 1 else "", f"predicted std ({task.scale.unit})")
    layout.legend(figure)
    return figure


def losses(tasks: Sequence[TaskResult]) -> Figure:
    """Plot the training loss of all methods after each epoch, a panel for each task."""
    labels = list(dict.fromkeys(m.label for task in tasks for m in task.compared if m.losses.shape[1] > 1))
    styles = {label: SERIES[number % len(SERIES)] for number, label in enumerate(labels)}
    figure, panels = layout.panels(len(tasks), _HEIGHT)
    for axes, task in zip(panels, tasks):
        own = {m.label: m.losses for m in task.compared if m.losses.shape[1] > 1}
        for label, values in own.items():
            _line(axes, label, values, *styles[label])
        _dress(axes, task.name if len(tasks) > 1 else "", _scale(axes, own))
    layout.legend(figure)
    return figure


def _ranges(axes: Axes, epochs: Epochs, quantiles: Floats) -> None:
    """Plot quantiles (E, 5) after some epochs as two bands around the median."""
    low, lower, median, upper, high = quantiles.T
    axes.fill_between(epochs, low, high, color=BLUE, alpha=0.18, lw=0, label="middle 90 % of the samples")
    axes.fill_between(epochs, lower, upper, color=BLUE, alpha=0.35, lw=0, label="middle 50 %")
    axes.plot(epochs, median, color=BLUE, lw=1.6, label="median")
    if quantiles.min() > 0:
        axes.set_yscale("log")
    else:  # a sample without spread has no place on a logarithmic axis
        axes.set_yscale("symlog", linthresh=_linear(quantiles))


def _line(axes: Axes, label: str, values: Floats, colour: str, marker: str) -> None:
    """Plot the mean of losses (runs, epochs), and the range of the runs if there are several."""
    epochs = np.arange(1, values.shape[1] + 1)
    if len(values) > 1:
        axes.fill_between(epochs, values.min(0), values.max(0), color=colour, alpha=0.18, lw=0)
    every = max(1, len(epochs) // 8)
    axes.plot(epochs, values.mean(0), color=colour, lw=1.4, marker=marker, ms=4, markevery=every, label=label)


def _scale(axes: Axes, found: Mapping[str, Floats]) -> str:
    """Make the axis logarithmic, symmetrically if a loss is not positive, and return its label."""
    every = np.concatenate([values.ravel() for values in found.values()])
    if every.min() > 0:
        axes.set_yscale("log")
        return "training loss (log)"
    axes.set_yscale("symlog", linthresh=(linear := _linear(every)))
    return f"training loss (symlog: linear within ±{linear:g})"


def _linear(values: Floats) -> float:
    """Return a power of ten that few of the sizes are below."""
    sizes = np.abs(values[values != 0])
    return float(10 ** math.floor(math.log10(np.quantile(sizes, 0.1)))) if sizes.size else 1.0


def _dress(axes: Axes, title: str, label: str) -> None:
    axes.set(xlabel="epoch", ylabel=label)
    axes.set_title(title, loc="left")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    low, high = axes.get_ylim()
    if axes.get_yscale() == "log" and high / low < _FEW:
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    plain(axes)
