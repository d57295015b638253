"""All figures of one task, each with a name and a caption."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aqakit.evaluation.results import MethodResult
from aqakit.report import calibration, curves, figures, training_curves
from aqakit.report.content import Study, TaskResult

_WIDTH, _HEIGHT = 4.4, 3.3  # inches: readable on a phone in portrait mode


class Shown(NamedTuple):
    """A figure, its caption, its kind, and a name of letters, digits and hyphens."""

    name: str
    kind: str
    caption: str
    figure: Figure


def draw(task: TaskResult, start: str) -> Iterator[Shown]:
    """Draw every figure of a task; names begin with ``start``."""
    for part in (_scatters(task), _uncertainty(task), _learning(task), _features(task)):
        for number, (kind, caption, figure) in enumerate(part, start=1):
            yield Shown(f"{start}-{kind}-{number}", kind, caption, figure)


def training(study: Study) -> Iterator[Shown]:
    """Draw the figures of all tasks together, over the epochs of training."""
    for number, (label, tasks) in enumerate(training_curves.with_spread(study).items(), start=1):
        caption = f"{label}: predicted standard deviation of the test samples after each epoch, before recalibration"
        yield Shown(f"training-spread-{number}", "spread", caption, training_curves.spread(label, tasks))
    trained = [task for task in study.tasks if any(m.losses.shape[1] > 1 for m in task.compared)]
    if trained:
        caption = "Training loss: mean and range of the runs. Losses of methods have units of their own: compare shapes"
        yield Shown("training-losses", "losses", caption, training_curves.losses(trained))


def _scatters(task: TaskResult) -> Iterator[tuple[str, str, Figure]]:
    for method in task.compared:
        p, figure = method.points, _new(4.0)
        axes = figure.subplots()
        figures.scatter(axes, p.mean, p.low, p.high, p.true, task.scale.unit)
        _limit(axes, method)
        yield "scatter", f"{method.label}: predicted against true, 90 % intervals{_which(method)}", figure


def _uncertainty(task: TaskResult) -> Iterator[tuple[str, str, Figure]]:
    sure, unit = [m for m in task.compared if not calibration.silent(m)], task.scale.unit
    if not sure:
        return
    figure = _new()
    calibration.reliability(figure, sure)
    more = "; dotted: before recalibration" if any(m.recalibrated for m in sure) else ""
    yield "reliability", f"Reliability: above the diagonal, intervals are too wide{more}", figure
    for method in sure:
        figure = _new()
        calibration.histogram(figure, method)
        yield "pit", f"{method.label}: PIT; flat when calibrated{_which(method)}", figure
    figure = _new(max(_HEIGHT, 1.2 + 0.4 * len(sure)))
    calibration.sharpness(figure, sure, unit)
    yield "sharpness", "Sharpness: narrow is better, among methods that are reliable", figure
    figure = _new()
    calibration.risk(figure, sure, unit)
    yield "risk", "Risk–coverage: falls to the left if uncertain predictions have larger errors", figure


def _learning(task: TaskResult) -> Iterator[tuple[str, str, Figure]]:
    for method in task.compared:
        if method.curve("test").shape[1] > 1:
            figure = _new(4.6)
            curves.learning(figure, method)
            yield "learning", f"{method.label}: learning curves; hollow marks are optimistic", figure


def _features(task: TaskResult) -> Iterator[tuple[str, str, Figure]]:
    for found in task.embeddings:
        figure = _new(3.6)
        figures.plane(figure, found.position, found.score, task.scale.unit)
        yield "features", f"t-SNE of {found.title}", figure


def _new(height: float = _HEIGHT) -> Figure:
    return Figure(figsize=(_WIDTH, height), dpi=150, layout="constrained")


def _limit(axes: Axes, method: MethodResult) -> None:
    """Set limits so that the points fill the figure; very wide intervals may exceed it."""
    p = method.points
    low, high = min(p.true.min(), p.mean.min()), max(p.true.max(), p.mean.max())
    margin, reach = 0.05 * (np.ptp(p.true) or 1.0), 0.6 * (high - low or 1.0)
    axes.set_xlim(p.true.min() - margin, p.true.max() + margin)
    axes.set_ylim(max(p.low.min(), low - reach) - margin, min(p.high.max(), high + reach) + 3 * margin)


def _which(method: MethodResult) -> str:
    return ", recalibrated on validation samples" if method.recalibrated else ", as predicted"
