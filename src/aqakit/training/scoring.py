"""Score recordings given on the command line; one that cannot be scored gives an error message and is skipped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from aqakit.datasets.parts.loading import load as load_dataset
from aqakit.errors import AqakitError
from aqakit.recordings import skeletons
from aqakit.recordings.video import Report
from aqakit.scores.distributions import ScoreDistribution
from aqakit.system.progress import track
from aqakit.training.run import Run
from aqakit.training.run_files import LEVEL, decode_descriptions
from aqakit.training.trust import Provenance
from aqakit.types import Batch, Sample, ScoreScale

_READING = {
    "requested": "frames",
    "missing": "frames_missing",
    "corrupt": "frames_damaged",
    "absent": "frames_cut_off",
    "gaps": "numbers_missing",
    "uneven": "rate_varies",
}
"""Columns of how well a video could be read, by attribute of its report."""

DETAILS = ("unfamiliar", "held_90", "held_out_samples", "worth", *_READING.values(), "joints_seen")
"""Columns that are written to files but not printed; sentences say them."""

_PROVENANCE = ("familiar", "unfamiliar", "in_training")


def score_recordings(
    run: Run, recordings: Sequence[Path] | Path, difficulty: float | None = None
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return a row for each recording that can be scored, and an error message for each that cannot.

    Args:
        run: a finished run.
        recordings: files or folders of frames; or one manifest, a CSV that lists them with window and difficulty.
        difficulty: declared difficulty of the recordings that state none.
    """
    samples = _manifest(run, recordings) if isinstance(recordings, Path) else _samples(run, recordings)
    rows, failed = [], []
    for sample in track(samples, "scoring"):
        if sample.difficulty is None and difficulty is not None:
            sample = replace(sample, difficulty=difficulty)
        try:
            reports: list[Report] = []
            video = run.embed([sample], reports)
            row = _row(sample, run.answer(video).select(0), run.labels.scale) | _trusted(run, sample, video)
            row |= _read(reports[0]) | _seen(run, sample)
            rows.append(row | next(decode_descriptions(run.describe(video), run.labels), {}))
        except AqakitError as error:
            failed.append(str(error))
    return rows, failed


def off_scale(rows: Sequence[dict[str, Any]], scale: ScoreScale) -> list[str]:
    """Return a warning for each score outside the scale: the recording is unlike the training data."""
    return [
        f"{row['recording']}: {row['score']:.1f} is off the scale from {scale.low:g} to {scale.high:g} {scale.unit}; "
        "the recording is unlike the training data"
        for row in rows
        if not scale.low <= row["score"] <= scale.high
    ]


def doubts(run: Run, rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return what must be said beside the scores: of the run, then of single recordings."""
    said = run.trust.sentences() if run.trust else []
    known = [(row["recording"], Provenance(**{n: row[n] for n in _PROVENANCE if n in row})) for row in rows]
    said += [f"{name}: {sentence}" for name, one in known for sentence in one.sentences()]
    read = [(row["recording"], Report(**_report(row))) for row in rows if "frames" in row]
    said += [
        f"{row['recording']}: {1 - row['joints_seen']:.1%} of its joints were missing for too long, and are filled in"
        for row in rows
        if row.get("joints_seen", 1.0) < 1
    ]
    return said + [f"{name}: {one.sentence()}" for name, one in read if not one.ok]


def _seen(run: Run, sample: Sample) -> dict[str, float]:
    """Column of the share of joint positions that were not filled in; none if the run reads no skeleton."""
    orders = [getattr(one, "order", None) for one in run.backbones.values() if one.reads == "skeleton"]
    if not orders:
        return {}
    seen = skeletons.read(sample.sources["skeleton"], layout=orders[0]).seen
    inside = seen if sample.window is None else seen[sample.window[0] : sample.window[1] + 1]
    return {"joints_seen": float(inside.mean())}


def _read(report: Report) -> dict[str, int]:
    """Columns of how well a video could be read; none for other recordings."""
    return {column: getattr(report, name) for name, column in _READING.items()} if report.requested else {}


def _report(row: dict[str, Any]) -> dict[str, int]:
    counts = {name: row[column] for name, column in _READING.items()}
    return counts | {"decoded": counts["requested"] - counts["missing"]}


def _trusted(run: Run, sample: Sample, video: Batch) -> dict[str, Any]:
    """Columns of how far a score can be trusted, as far as the run can tell."""
    found = {name: value for name, value in asdict(run.provenance(sample, video)).items() if value is not None}
    if "familiar" not in found:
        del found["unfamiliar"]
    if (trust := run.trust) is None:
        return found
    return found | {"held_90": trust.held / trust.samples, "held_out_samples": trust.samples, "worth": trust.worth}


def _samples(run: Run, recordings: Sequence[Path]) -> list[Sample]:
    run.only_input()
    return [run.sample(path) for path in recordings]


def _manifest(run: Run, file: Path) -> Sequence[Sample]:
    rate = run.recipe.data_options.get("rate", "stored")
    return [replace(sample, rate=rate) for sample in load_dataset("manifest", file).samples]


def _row(sample: Sample, answer: ScoreDistribution, scale: ScoreScale) -> dict[str, Any]:
    low, high = (min(max(float(end), scale.low), scale.high) for end in answer.interval(LEVEL))
    return {
        "recording": sample.id,
        "score": float(answer.mean),
        "std": float(answer.std),
        "low_90": low,
        "high_90": high,
    }
