"""All that a run says of one recording, whose features are computed once: its score, the clips and the measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from aqakit.explanation import contributions, measures
from aqakit.explanation.contributions import Explanation
from aqakit.explanation.measures import Findings
from aqakit.recordings.video import Report
from aqakit.scores.distributions import ScoreDistribution, mixture
from aqakit.training.run import Run
from aqakit.types import Batch, Sample, Segment


@dataclass(frozen=True)
class Whole:
    """A score and what made it.

    Attributes:
        sample: the recording.
        video: its features, as a batch of one.
        answer: its calibrated score, of batch shape ().
        said: its score before calibration, of batch shape (1,).
        explanation: by clips.
        findings: by named measures; None if the run reads none.
    """

    sample: Sample
    video: Batch
    answer: ScoreDistribution
    said: ScoreDistribution
    explanation: Explanation
    findings: Findings | None


def explain(
    run: Run,
    recording: Path | str | Mapping[str, Path | str],
    *,
    difficulty: float | None = None,
    window: tuple[int, int] | None = None,
    kind: str | None = None,
    steps: Sequence[str] = (),
    segments: Sequence[Segment] = (),
) -> Whole:
    """Score and explain one recording; the arguments and errors are those of :func:`contributions.explain`."""
    sample = run.sample(recording, difficulty, window, kind, steps, segments)
    reports: list[Report] = []
    video = run.embed([sample], reports)
    with torch.inference_mode():
        answers = run.assessor.answers(video)
    return Whole(
        sample,
        video,
        run.calibrate(answers).select(0),
        mixture(answers),
        contributions.of_embedded(run, sample, video, reports[0]),
        measures.findings(run, sample, video),
    )
