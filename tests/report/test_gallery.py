"""Figures of a report: files measured by pypdf, legends and axes by Matplotlib's renderer."""

from itertools import combinations

import numpy as np
import pytest
import torch

from aqakit.evaluation.results import FoldResult, MethodResult
from aqakit.report import gallery, html, layout, svg
from aqakit.report.content import Embedding, Study, TaskResult
from aqakit.scores.distributions import Normal, Point
from aqakit.types import ScoreScale
from tests.report.pdf import check_pdf

LONG = "usdl:family=laplace:bins=21:hidden=256:dropout=0.3 (weight_decay=0.0005, learning_rate=0.003)"
EPOCHS, SAMPLES = 12, 30


def _method(label: str, noise: float, *, points: bool = False) -> MethodResult:
    drawn = np.random.default_rng(int(10 * noise))
    true = np.random.default_rng(0).uniform(5, 25, SAMPLES)
    mean = torch.from_numpy(true + drawn.normal(0, noise, SAMPLES))
    fold = FoldResult(
        "all",
        0,
        tuple(map(str, range(SAMPLES))),
        true,
        Point(mean) if points else Normal(mean, torch.full((SAMPLES,), noise)),
        curves={"test": np.linspace(0, 1 - noise / 10, EPOCHS)},
        epochs=np.arange(EPOCHS),
        stds=drawn.lognormal(size=(EPOCHS, SAMPLES)),
        losses=np.linspace(noise, 0.1, EPOCHS),
    )
    return MethodResult(label, (fold,))


@pytest.fixture(scope="module")
def study() -> Study:
    methods = (_method(LONG, 1.0), _method("dae", 4.0), _method("regression", 6.0, points=True))
    maps = (Embedding("kinematics", np.random.default_rng(0).normal(size=(SAMPLES, 2)), np.arange(SAMPLES) * 1.0),)
    names = ("jigsaws Suturing", "jigsaws Knot_Tying")
    return Study(tuple(TaskResult(name, "all", ScoreScale(0, 30), 30.0, methods, embeddings=maps) for name in names))


@pytest.fixture(scope="module")
def shown(study):
    with svg.style():
        drawn = gallery.draw(study)
        return {one.name: one for one in [*drawn[0], *drawn[1], *gallery.training(study)]}


def test_names_say_the_task_what_is_shown_and_the_method(study, shown):
    assert {
        "jigsaws-suturing-reliability",
        "jigsaws-suturing-predicted-against-true-dae",
        "jigsaws-knot-tying-interval-width",
        "jigsaws-knot-tying-feature-map-kinematics",
        "training-spread-dae",
    } <= set(shown)
    assert len(shown) == 2 * (3 + 1 + 2 + 1 + 1 + 3 + 1) + 2 + 1  # every one under a name of its own
    twice = Study((study.tasks[0], study.tasks[0]))
    first, second = gallery.draw(twice)
    assert not {one.name for one in first} & {one.name for one in second}


def test_files_are_as_wide_as_a_column_or_a_page(study, tmp_path):
    one = Study((TaskResult("a", "all", ScoreScale(0, 30), 30.0, study.tasks[0].methods[1:2]),))
    html.write(one, tmp_path / "report.html", folder=tmp_path / "figures")
    files = sorted((tmp_path / "figures").glob("*.pdf"))
    assert {file.stem for file in files} == {file.stem for file in (tmp_path / "figures").iterdir()}
    text = {file.stem: check_pdf(file, (layout.COLUMN,)) for file in files}
    assert "stated probability of the interval" in text["a-reliability"]
    assert "width of the 90 % interval (points)" in text["a-interval-width"]


def test_panels_of_several_tasks_share_a_page(shown, tmp_path):
    layout.save(shown["training-losses"].figure, tmp_path / "losses.pdf")
    assert "jigsaws Knot_Tying" in check_pdf(tmp_path / "losses.pdf", (layout.PAGE,))


@pytest.mark.parametrize("kind", ["scatter", "pit", "learning"])
def test_compared_methods_have_the_same_axes(shown, kind):
    own = [one.figure.axes[0] for one in shown.values() if one.kind == kind and "suturing" in one.name]
    assert len(own) > 1
    for one, other in combinations(own, 2):
        assert one.get_ylim() == other.get_ylim()
        assert one.get_xlim() == other.get_xlim()


def test_no_legend_covers_data_and_nothing_is_cut_off(shown):
    for name, one in shown.items():
        figure = one.figure
        figure.draw_without_rendering()
        panels = [axes.get_window_extent() for axes in figure.axes]
        assert not any(axes.get_legend() for axes in figure.axes), name
        for legend in figure.legends:
            assert not any(panel.overlaps(legend.get_window_extent()) for panel in panels), name
        whole, outer = figure.bbox, figure.get_tightbbox()
        assert outer.x0 * figure.dpi >= -1, name
        assert outer.y0 * figure.dpi >= -1, name
        assert outer.x1 * figure.dpi <= whole.x1 + 1, name
        assert outer.y1 * figure.dpi <= whole.y1 + 1, name
        assert min(panel.height for panel in panels) > 0.5 * figure.dpi, name
