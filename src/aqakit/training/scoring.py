"""Score recordings given on the command line; one that cannot be scored gives an error message and is skipped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aqakit.datasets.parts.loading import load as load_dataset
from aqakit.errors import AqakitError
from aqakit.scores.distributions import ScoreDistribution
from aqakit.system.progress import track
from aqakit.training.run import Run
from aqakit.training.run_files import LEVEL, decode_descriptions
from aqakit.types import Sample, ScoreScale


def score_recordings(
    run: Run, recordings: Sequence[Path] | Path, difficulty: float | None = None
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return a row for each recording that can be scored, and an error message for each that cannot.

    Args:
        run: a finished run.
        recordings: files or folders of frames; or one manifest, a CSV that lists them with window and difficulty.
        difficulty: declared difficulty of the recordings that state none.
    """
    samples = _manifest(recordings) if isinstance(recordings, Path) else _samples(run, recordings)
    rows, failed = [], []
    for sample in track(samples, "scoring"):
        if sample.difficulty is None and difficulty is not None:
            sample = _with_difficulty(sample, difficulty)
        try:
            answer, said = run.assess([sample])
            rows.append(_row(sample, answer.select(0)) | next(decode_descriptions(said, run.labels), {}))
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


def _samples(run: Run, recordings: Sequence[Path]) -> list[Sample]:
    kind = run.only_input()
    return [Sample(id=str(path), sources={kind: path}) for path in recordings]


def _manifest(file: Path) -> Sequence[Sample]:
    return load_dataset("manifest", file).samples


def _with_difficulty(sample: Sample, difficulty: float) -> Sample:
    return Sample(**{**sample.__dict__, "difficulty": difficulty})


def _row(sample: Sample, answer: ScoreDistribution) -> dict[str, Any]:
    low, high = (float(end) for end in answer.interval(LEVEL))
    return {
        "recording": sample.id,
        "score": float(answer.mean),
        "std": float(answer.std),
        "low_90": low,
        "high_90": high,
    }
