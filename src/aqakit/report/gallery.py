"""All figures of one task, each with a name and a caption; axes are the same for all methods that are compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from aqakit.evaluation.results import MethodResult
from aqakit.report import calibration, curves, figures, layout, training_curves
from aqakit.report.content import Study, TaskResult

_HEIGHT = 2.3  # inches
_MARGIN = 0.04  # of the range of the scores


class Shown(NamedTuple):
    """A figure, its caption, its kind, and a name of letters, digits and hyphens."""

    name: str
    kind: str
    caption: str
    figure: Figure


class _Drawn(NamedTuple):
    """A figure before it has a name; ``of`` is the method that it shows, empty if it shows several."""

    kind: str
    of: str
    caption: str
    figure: Figure


_NAMES = {
    "scatter": "predicted-against-true",
    "sharpness": "interval-width",
    "risk": "risk-coverage",
    "learning": "learning-curve",
    "features": "feature-map",
}


def draw(study: Study) -> list[list[Shown]]:
    """Draw every figure of every task; a name says the task, what is shown and of which method."""
    taken: set[str] = set()
    found = []
    for task in study.tasks:
        drawn = [*_scatters(task), *_uncertainty(task), *_learning(task), *_features(task)]
        found.append([_named(one, taken, task.name, _NAMES.get(one.kind, one.kind), one.of) for one in drawn])
    return found


def training(study: Study) -> list[Shown]:
    """Draw the figures of all tasks together, over the epochs of training."""
    taken: set[str] = set()
    return [_named(one, taken, "training", one.kind, one.of) for one in _training(study)]


def save(every: Iterable[Shown], folder: Path) -> list[Path]:
    """Write figures to a folder, as PDF, PNG and SVG; returns the PNG files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for shown in every:
        layout.save_all(shown.figure, folder, shown.name)
        files.append(folder / f"{shown.name}.png")
    return files


def _named(drawn: _Drawn, taken: set[str], *parts: str) -> Shown:
    """Name a figure; a number follows where a name is taken, as by methods that differ beyond its length."""
    first = name = layout.file_name(*parts)
    while name in taken:
        name = f"{first}-{sum(one.startswith(first) for one in taken) + 1}"
    taken.add(name)
    return Shown(name, drawn.kind, drawn.caption, drawn.figure)


def _training(study: Study) -> Iterator[_Drawn]:
    for label, tasks in training_curves.with_spread(study).items():
        caption = f"{label}: predicted standard deviation of the test samples after each epoch, before recalibration"
        yield _Drawn("spread", label, caption, training_curves.spread(label, tasks))
    trained = [task for task in study.tasks if any(m.losses.shape[1] > 1 for m in task.compared)]
    if trained:
        caption = "Training loss: mean and range of the runs. Losses of methods have units of their own: compare shapes"
        yield _Drawn("losses", "", caption, training_curves.losses(trained))


def _scatters(task: TaskResult) -> Iterator[_Drawn]:
    limits = _limits(task.compared)
    for method in task.compared:
        p, figure = method.points, layout.sheet(2.8)
        axes = figure.subplots()
        figures.scatter(axes, p.mean, p.low, p.high, p.true, task.scale.unit)
        axes.set(xlim=limits[0], ylim=limits[1])
        caption = f"{method.label}: predicted against true"
        if not calibration.silent(method):
            layout.legend(figure)
            caption += f", 90 % intervals{_which(method)}"
        yield _Drawn("scatter", method.label, caption, figure)


def _uncertainty(task: TaskResult) -> Iterator[_Drawn]:
    sure, unit = [m for m in task.compared if not calibration.silent(m)], task.scale.unit
    if not sure:
        return
    figure = layout.sheet(_HEIGHT + 0.3)
    calibration.reliability(figure, sure)
    more = "; dotted: before recalibration" if any(m.recalibrated for m in sure) else ""
    yield _Drawn("reliability", "", f"Reliability: above the diagonal, intervals are too wide{more}", figure)
    for method, figure in zip(sure, _alike(calibration.histogram, sure), strict=True):
        yield _Drawn("pit", method.label, f"{method.label}: PIT; flat when calibrated{_which(method)}", figure)
    figure = layout.sheet(_HEIGHT)
    calibration.sharpness(figure, sure, unit)
    yield _Drawn("sharpness", "", "Sharpness: narrow is better, among methods that are reliable", figure)
    figure = layout.sheet(_HEIGHT)
    calibration.risk(figure, sure, unit)
    yield _Drawn("risk", "", "Risk–coverage: falls to the left if uncertain predictions have larger errors", figure)


def _learning(task: TaskResult) -> Iterator[_Drawn]:
    watched = [method for method in task.compared if method.curve("test").shape[1] > 1]
    for method, figure in zip(watched, _alike(curves.learning, watched), strict=True):
        caption = f"{method.label}: learning curves; hollow marks are optimistic"
        yield _Drawn("learning", method.label, caption, figure)


def _features(task: TaskResult) -> Iterator[_Drawn]:
    for found in task.embeddings:
        figure = layout.sheet(2.6)
        figures.plane(figure, found.position, found.score, task.scale.unit)
        yield _Drawn("features", found.title, f"t-SNE of {found.title}", figure)


def _alike(draw_one: Callable[[Figure, MethodResult], None], methods: Sequence[MethodResult]) -> list[Figure]:
    """Draw a figure of each method, all with the same vertical axis."""
    drawn = [layout.sheet(_HEIGHT) for _ in methods]
    for figure, method in zip(drawn, methods, strict=True):
        draw_one(figure, method)
    if drawn:
        layout.equal([figure.axes[0] for figure in drawn])
    return drawn


def _limits(methods: Sequence[MethodResult]) -> list[tuple[float, float]]:
    """Return limits of true and predicted scores that hold all points; very wide intervals may exceed them."""
    true, mean, low, high = (
        np.concatenate([getattr(m.points, name) for m in methods]) for name in ("true", "mean", "low", "high")
    )
    first, last = min(true.min(), mean.min()), max(true.max(), mean.max())
    reach = 0.3 * (last - first or 1.0)
    first, last = min(first, max(low.min(), first - reach)), max(last, min(high.max(), last + reach))
    return [_wider(true.min(), true.max()), _wider(first, last)]


def _wider(low: float, high: float) -> tuple[float, float]:
    margin = _MARGIN * (high - low or 1.0)
    return float(low - margin), float(high + margin)


def _which(method: MethodResult) -> str:
    return ", recalibrated on validation samples" if method.recalibrated else ", as predicted"
