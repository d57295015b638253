"""Figures over the epochs of training: their numbers against numpy on what the run folders store."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

import aqakit
from aqakit.evaluation import benchmark
from aqakit.evaluation.results import FoldResult, MethodResult
from aqakit.report import gallery, html, training_curves
from aqakit.report.content import Study, TaskResult
from aqakit.report.study import build_study
from aqakit.scores.distributions import Normal, Point
from aqakit.types import ScoreScale
from tests.report.pdf import check_pdf
from tests.training.test_run import BACKBONE, make_manifest

EPOCHS, SAMPLES = 12, 7


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A report of two methods, one of them without a spread."""
    folder = tmp_path_factory.mktemp("curves")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AQAKIT_CACHE", str(folder / "cache"))
        benchmark.benchmark(
            "manifest",
            root=_with_split(make_manifest(folder)),
            backbones=[BACKBONE],
            methods=["dae:family=laplace", "regression"],
            seeds=2,
            out=folder / "bench",
            epochs=5,
            members=2,
            validation=0.0,
        )
        study = build_study([folder / "bench"], data=False)
        html.write(study, folder / "report.html", folder=folder / "figures")
    return folder, study


def _with_split(manifest: Path) -> Path:
    """One fold: every fifth sample, a group, is for testing."""
    first, *rows = manifest.read_text().splitlines()
    lines = [f"{first},split", *(f"{row},{'train' if k % 5 else 'test'}" for k, row in enumerate(rows))]
    manifest.write_text("\n".join(lines) + "\n")
    return manifest


def _fold(seed: int, *, loss: float = 1.0, spread: bool = True) -> FoldResult:
    drawn = np.random.default_rng(seed)
    stds = drawn.lognormal(size=(EPOCHS, SAMPLES)) * spread
    return FoldResult(
        "all",
        seed,
        tuple(map(str, range(SAMPLES))),
        np.arange(SAMPLES, dtype=float),
        Normal(torch.zeros(SAMPLES), torch.ones(SAMPLES)) if spread else Point(torch.zeros(SAMPLES)),
        epochs=np.arange(EPOCHS),
        stds=stds,
        losses=drawn.uniform(0.5, 1, EPOCHS) * loss,
    )


def _study(tasks: int, **options) -> Study:
    methods = (
        MethodResult("dae", tuple(_fold(seed, **options) for seed in range(3))),
        MethodResult("regression", tuple(_fold(seed, spread=False) for seed in range(3))),
    )
    return Study(tuple(TaskResult(f"task {n}", "all", ScoreScale(0, 10), 10.0, methods) for n in range(tasks)))


def _axes(figure: Figure) -> list:
    return [axes for axes in figure.axes if axes.get_xlabel() == "epoch"]


def test_the_numbers_are_numpys_of_the_stored_predictions(made):
    folder, study = made
    runs = [aqakit.load(file.parent) for file in sorted((folder / "bench").rglob("run.json"))]
    runs = [run for run in runs if run.recipe.method == "dae"]
    assert len(runs) == 2  # two seeds
    stds = np.concatenate([np.stack([answer.std.numpy() for answer in run.epochs("test")]) for run in runs], axis=1)
    (label,) = (m.label for m in study.tasks[0].compared if m.label.startswith("dae"))
    text = (folder / "report.html").read_text(encoding="utf-8")
    stored = json.loads(text.split('id="report-data">')[1].split("</script>")[0])["tasks"][0]["training"]
    expected = np.quantile(stds, [0.05, 0.25, 0.5, 0.75, 0.95], axis=1).T
    assert np.array(stored[label]["spread_quantiles"]) == pytest.approx(expected)
    losses = [[sum(terms.values()) for terms in run.description["losses"]] for run in runs]
    assert np.sort(stored[label]["losses"], axis=0) == pytest.approx(np.sort(losses, axis=0))
    assert stored["regression"]["spread_quantiles"] == []


def test_figures_are_in_the_report_and_written_as_pdf_png_and_svg(made):
    folder, _ = made
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "<h2>Training</h2>" in text
    for name in ("training-spread-dae", "training-losses"):
        assert (folder / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (folder / "figures" / f"{name}.svg").read_text(encoding="utf-8")
        check_pdf(folder / "figures" / f"{name}.pdf")
    assert not (folder / "figures" / "training-spread-regression.png").exists()  # regression predicts points


@pytest.mark.parametrize("tasks", [1, 3, 5])
def test_there_is_a_panel_for_each_task_on_a_logarithmic_axis(tasks):
    study = _study(tasks)
    shown = {one.name: one.figure for one in gallery.training(study)}
    assert set(shown) == {"training-spread-dae", "training-losses"}
    for figure in shown.values():
        assert [axes.get_yscale() for axes in _axes(figure)] == ["log"] * tasks
        assert [axes.get_title(loc="left") for axes in _axes(figure)] == [t.name for t in study.tasks if tasks > 1] or [
            ""
        ]
    method = study.tasks[0].compared[0]
    (median,) = _axes(shown["training-spread-dae"])[0].get_lines()
    pooled = np.concatenate([fold.stds for fold in method.folds], axis=1)
    assert median.get_ydata() == pytest.approx(np.median(pooled, axis=1))
    lines = _axes(shown["training-losses"])[0].get_lines()
    assert [line.get_label() for line in lines] == ["dae", "regression"]
    assert lines[0].get_ydata() == pytest.approx(np.mean([fold.losses for fold in method.folds], axis=0))


def test_a_negative_loss_makes_the_axis_symlog_and_says_so():
    (axes,) = _axes(training_curves.losses(_study(1, loss=-1.0).tasks))
    assert axes.get_yscale() == "symlog"
    assert axes.get_ylabel() == "training loss (symlog: linear within ±0.1)"


def test_nothing_is_drawn_of_a_single_epoch_or_of_points():
    one = _fold(0)
    short = FoldResult(one.fold, 0, one.ids, one.true, one.answer, stds=one.stds[:1], losses=one.losses[:1])
    alone = TaskResult("task", "all", ScoreScale(0, 10), 10.0, (MethodResult("dae", (short,)),))
    assert not list(gallery.training(Study((alone,))))
    unknown = FoldResult(one.fold, 0, one.ids, one.true, one.answer)  # as from a file of predictions
    alone = TaskResult("task", "all", ScoreScale(0, 10), 10.0, (MethodResult("dae", (unknown,)),))
    assert not list(gallery.training(Study((alone,))))
