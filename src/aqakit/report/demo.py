"""The demo: render dives, train on their pixels, evaluate on held-out dives, score one file."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aqakit.datasets.synthetic_dives import Truth, truth
from aqakit.evaluation.floors import Inputs, difficulty_only, length_only
from aqakit.metrics import calibration, scoring
from aqakit.metrics.accuracy import spearman
from aqakit.recordings import video
from aqakit.report import figures, layout
from aqakit.scores.distributions import ScoreDistribution
from aqakit.system.files import atomic_path
from aqakit.training.data import PreparedData, prepare
from aqakit.training.recipe import make_recipe
from aqakit.training.run import Run
from aqakit.training.train import execute
from aqakit.types import Sample

SETTINGS: dict[str, Any] = {
    "data": "synthetic_dives:count=680",
    "backbone": "c3d_small",
    "target": "total",
    "finetune": True,
    "flip": True,
    "jitter": 2,
    "validation": 0.15,
    "epochs": 16,
    "dropout": 0.3,
    "batch_size": 16,
    "learning_rate": 2e-3,
    "schedule": "one-cycle",
}

RUN, SAMPLE = "run", "sample.mp4"


@dataclass(frozen=True)
class Demo:
    """The results of the demo: a table, and notes that name the figure and the run."""

    rows: list[dict[str, Any]]
    title: str
    notes: list[str]


def demo(out: Path, report: Callable[[int, dict[str, float]], None]) -> Demo:
    """Run the demo and write ``run/``, ``demo.png`` and ``sample.mp4``, an unseen dive, to a folder.

    Args:
        out: the folder; a second call reuses the finished run there.
        report: called after each epoch.
    """
    recipe = make_recipe("dae", **SETTINGS)
    prepared = prepare(recipe)
    run = execute(recipe, prepared, out / RUN, report=report)
    samples = {s.id: s for s in prepared.source.samples}
    test = [samples[i] for i in run.ids("test")]
    answer = run.prediction("test", recalibrated=True)
    truths = [truth(s) for s in test]
    shown = _typical(answer, run.truth("test"))
    layout.save(_figure(run, test[shown], answer, run.truth("test")), out / "demo.png")
    rows = [_method_row(run, test, answer), *_floor_rows(prepared, run, test)]
    return Demo(rows, f"{len(test)} unseen dives", _notes(run, test, shown, truths, answer, out))


def _method_row(run: Run, test: list[Sample], answer: ScoreDistribution) -> dict[str, Any]:
    score, difficulty = run.truth("test"), _difficulty(test)
    mean = answer.mean.numpy()
    return _row("dae on c3d_small", score, difficulty, mean) | {
        "crps": scoring.crps(answer, score),
        "coverage_90": calibration.coverage(answer, score, 0.9),
        "width_90": calibration.width(answer, 0.9),
    }


def _floor_rows(prepared: PreparedData, run: Run, test: list[Sample]) -> list[dict[str, Any]]:
    samples = list(prepared.source.samples)
    inputs = Inputs.of(None, samples, np.array(prepared.lengths, dtype=float))
    tested = {s.id for s in test}
    held = tested | set(run.ids("validation"))
    train = np.array([i for i, s in enumerate(samples) if s.id not in held])
    judged = np.array([next(i for i, s in enumerate(samples) if s.id == t.id) for t in test])
    score = np.array([s.score for s in samples], dtype=float)
    floors = {"floor: difficulty only": difficulty_only, "floor: length only": length_only}
    return [
        _row(name, score[judged], inputs.difficulty[judged], fit(inputs.rows(train), score[train], inputs.rows(judged)))
        for name, fit in floors.items()
    ]


def _row(name: str, score: np.ndarray, difficulty: np.ndarray, mean: np.ndarray) -> dict[str, Any]:
    """Rank correlation of the final score, and of the judges' total, about which difficulty alone says nothing."""
    return {
        "method": name,
        "spearman_score": float(spearman(score, mean)),
        "spearman_total": float(spearman(score / difficulty, mean / difficulty)),
        "mae": float(np.abs(score - mean).mean()),
    }


def _notes(
    run: Run, test: list[Sample], shown: int, truths: list[Truth], answer: ScoreDistribution, out: Path
) -> list[str]:
    sample = test[shown]
    path = sample.sources["video"]
    again = run.predict(path, difficulty=sample.difficulty)
    low, high = (float(end) for end in again.interval(0.9))
    spread = float(spearman([t.spread for t in truths], answer.std.numpy()))
    best = float(spearman(run.truth("test"), [t.mean for t in truths]))
    return [
        "spearman total: for the judges' total, score ÷ declared difficulty.",
        "Intervals are recalibrated on validation dives.",
        f"Rank correlation of predicted and true spread of the score: ρ = {spread:.2f}.",
        f"Best possible, given the true mean of each dive: spearman score {best:.3f}.",
        f"{path.name}, read from disk: {float(again.mean):.1f} ± {float(again.std):.1f}, 90 % interval "
        f"{low:.1f} – {high:.1f}; the judges gave {sample.score:.1f}.",
        *(f"{said[0].upper()}{said[1:]}." for said in (run.trust.sentences() if run.trust else [])),
        *(f"{path.name}: {said}." for said in run.provenance(sample, run.embed([sample])).sentences()),
        f"Figure: {out / 'demo.png'}. To score {path.name}, which no model has seen, from its copy beside the run:",
        leave_sample(sample, out),
    ]


def leave_sample(sample: Sample, out: Path) -> str:
    """Copy the video of a sample to the folder of the demo, and return the command that scores it there."""
    file = out / SAMPLE
    with atomic_path(file) as temporary:
        shutil.copyfile(sample.sources["video"], temporary)
    return shlex.join(["aqakit", "predict", str(out / RUN), str(file), "--difficulty", f"{sample.difficulty:g}"])


def _figure(run: Run, sample: Sample, answer: ScoreDistribution, score: np.ndarray) -> Any:
    path = sample.sources["video"]
    count = video.probe(path).frames
    frames = video.frames(path, np.linspace(0.08, 0.95, 9) * (count - 1) // 1)
    caption = sample.caption or sample.id
    shown = f"{caption[0].upper()}{caption[1:]} Difficulty {sample.difficulty}."
    one = answer.select(run.ids("test").index(sample.id))
    return figures.scorecard(list(frames), one, sample.score, shown=shown, predicted=answer, truth=score)


def _typical(answer: ScoreDistribution, score: np.ndarray) -> int:
    """Choose a dive with a typical error and a score near the upper quartile: neither the best nor the worst case."""
    error = np.abs(answer.mean.numpy() - score)
    wanted = np.abs(error - np.median(error)) / error.std() + np.abs(score - np.quantile(score, 0.75)) / score.std()
    return int(wanted.argmin())


def _difficulty(samples: list[Sample]) -> np.ndarray:
    return np.array([s.difficulty for s in samples], dtype=float)
