"""Score one video with one run, and collect all that the page shows. Runs in the worker process."""

from __future__ import annotations

import base64
import io
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from aqakit.backbones.parts.base import Backbone
from aqakit.backbones.parts.video import VideoBackbone
from aqakit.errors import AqakitError, DataError
from aqakit.explanation import measures, moments
from aqakit.explanation.contributions import Attribution, attribute, clip_frames, usual_clips
from aqakit.features.engines import Engine
from aqakit.recordings import video
from aqakit.recordings.video import Rate, Report, VideoInfo
from aqakit.scores import density
from aqakit.scores.distributions import ScoreDistribution, mixture
from aqakit.training import summary
from aqakit.training.run import Run
from aqakit.training.run_files import decode_descriptions
from aqakit.training.scoring import off_scale
from aqakit.training.summary import TrainingSummary
from aqakit.training.trust import Provenance
from aqakit.types import Batch, Sample, ScoreScale
from aqakit.web import motion
from aqakit.web.limits import Limits
from aqakit.web.models import Answer, Clip, Curve, Exemplar, Footage, Interval, Motion

Tell = Callable[[int, int], None]
"""Called with the number of finished clips and the total."""

LEVELS = (0.5, 0.9)
STILLS = 48
STILL_PIXELS = 240


def answer(run: Run, path: Path, name: str, difficulty: float | None, limits: Limits, tell: Tell) -> Answer:
    """Score one recording.

    Raises:
        AqakitError: the recording cannot be scored; the message names ``path``.
    """
    if (kind := run.only_input()) == "video":
        info = video.probe(path, run.sample(path, difficulty).rate)
        limits.check(info)
        return _answer(run, run.sample(path, difficulty), name, info, None, tell)
    with motion.with_suffix(path, name) as link:
        try:
            moved = motion.curves(link, kind, motion.layout_of(run))
            return _answer(run, run.sample(link, difficulty), name, None, moved, tell)
        except AqakitError as error:
            raise DataError(str(error).replace(str(link), str(path))) from None


def _answer(run: Run, sample: Sample, name: str, info: VideoInfo | None, moved: Motion | None, tell: Tell) -> Answer:
    started, reports = time.monotonic(), list[Report]()
    with _telling(run, sample, info, tell) if info else nullcontext():
        batch = run.embed([sample], reports)
    with torch.inference_mode():
        said, answers = run.assessor.describe_embedded(batch), run.assessor.answers(batch)
    found = run.calibrate(answers)
    scale, score, std = run.labels.scale, found.mean.item(), found.std.item()
    if not math.isfinite(score):
        raise DataError(f"{name}: the predicted score is not a number; the video is unlike those of the training set")
    remembered = TrainingSummary.load(run.folder) if (run.folder / summary.FILE).exists() else None
    made = attribute(run.assessor.predict_embedded, batch, usual_clips(run, sample)) if remembered else None
    return Answer(
        score=score,
        std=std,
        unit=scale.unit,
        low=scale.low,
        high=scale.high,
        intervals=[_interval(found, level, scale) for level in LEVELS],
        recalibrated=run.recalibration is not None,
        curve=_curve(found, mixture(answers), scale),
        baseline=made.baseline if made else None,
        clips=_clips(clip_frames(run, sample, batch.clips.shape[1]), _Pictures(info, sample.rate, moved), made),
        moments=_moments(run, sample, batch, _Pictures(info, sample.rate, moved)) if info else [],
        words=_words(run, sample, batch) if remembered else [],
        said=next(decode_descriptions(said, run.labels), {}),
        exemplars=[Exemplar(**asdict(one)) for one in remembered.nearest(batch)] if remembered else [],
        video=Footage(**{field: getattr(info, field) for field in Footage.model_fields}) if info else None,
        motion=moved,
        notes=_trusted(run, run.provenance(sample, batch)) + _notes(run, info, reports[0], name, score, std),
        seconds=time.monotonic() - started,
    )


@contextmanager
def _telling(run: Run, sample: Sample, info: VideoInfo, tell: Tell) -> Iterator[None]:
    """Within this context, the run's engine reports every clip."""
    videos = [b.reader(sample) for b in run.backbones.values() if isinstance(b, VideoBackbone)]
    total = sum(len(b.plan.clips(info.frames)) for b in videos)
    tell(0, total)
    engine = run.engine
    run.engine = _Telling(engine, total, tell)
    try:
        yield
    finally:
        run.engine = engine


@dataclass
class _Telling(Engine):
    """An engine that processes clips one by one and reports each."""

    engine: Engine
    total: int
    tell: Tell
    done: int = 0

    def embed(self, backbone: Backbone, clips: NDArray[Any]) -> torch.Tensor:
        parts = []
        for clip in clips:
            parts.append(self.engine.embed(backbone, clip[None]))
            self.done += 1
            self.tell(self.done, max(self.total, self.done))
        return torch.cat(parts)

    def _prepare(self, backbone: Backbone, clips: NDArray[Any]) -> Any:
        raise NotImplementedError("the wrapped engine prepares the backbone")


def _interval(found: ScoreDistribution, level: float, scale: ScoreScale) -> Interval:
    low, high = (end.item() for end in found.interval(level))
    return Interval(level=level, low=max(low, scale.low), high=min(high, scale.high))


def _curve(found: ScoreDistribution, said: ScoreDistribution, scale: ScoreScale) -> Curve:
    scores, shown = density.smooth(found, said, scale)
    return Curve(scores=scores.tolist(), density=shown.tolist())


class _Pictures(NamedTuple):
    """What can be shown of a recording: frames of a video, or the rows of motion."""

    info: VideoInfo | None
    rate: Rate
    moved: Motion | None

    def second(self) -> float:
        """Seconds of a frame or row; 0 if unknown."""
        pace = self.info.rate if self.info else self.moved.rate if self.moved else 0.0
        return 1 / pace if pace else 0.0


def _clips(spans: NDArray[np.int64], shown: _Pictures, made: Attribution | None) -> list[Clip]:
    """Return the clips with their position in the recording and what they add to the score."""
    second, middles = shown.second(), spans.mean(1).astype(int).tolist()
    stills = _stills(shown.info, shown.rate, middles) if shown.info else [None] * len(middles)
    found = []
    for k, (first, last) in enumerate(spans.tolist()):
        clip = Clip(first=first, last=last, start=first * second, end=(last + 1) * second, still=stills[k])
        if made:
            clip.contribution, clip.error = float(made.values[k]), float(made.errors[k])
        found.append(clip)
    return found


def _moments(run: Run, sample: Sample, batch: Batch, shown: _Pictures) -> list[Clip]:
    """Return what parts of the clips add to the score, where a method sees few of them; else nothing."""
    found = moments.divided(run, sample, batch, clip_frames(run, sample, batch.clips.shape[1]))
    if found is None:
        return []
    spans, gains = found
    return _clips(spans, shown, Attribution(gains, np.zeros(len(gains)), 0.0, 0.0))


def _stills(info: VideoInfo, rate: Rate, numbers: list[int]) -> list[str | None]:
    """Return these frames as JPEGs; None for some of them if there are very many."""
    wanted = set(numbers[:: math.ceil(len(numbers) / STILLS)])
    scale = min(1.0, STILL_PIXELS / max(info.height, info.width))
    size = (max(1, round(info.height * scale)), max(1, round(info.width * scale)))
    frames = video.stream(info.path, wanted, size=size, interpolation="area", rate=rate)
    found = {number: _jpeg(frame) for number, frame in frames}
    return [found.get(number) for number in numbers]


def _jpeg(frame: np.ndarray) -> str:
    out = io.BytesIO()
    Image.fromarray(frame).save(out, "JPEG", quality=75)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()


def _words(run: Run, sample: Sample, batch: Batch) -> list[str]:
    found = measures.findings(run, sample, batch)
    return found.sentences if found else []


def _trusted(run: Run, provenance: Provenance) -> list[str]:
    return (run.trust.sentences() if run.trust else []) + provenance.sentences()


def _notes(run: Run, info: VideoInfo | None, report: Report, name: str, score: float, std: float) -> list[str]:
    notes = off_scale([{"recording": name, "score": score}], run.labels.scale)
    if info and info.promised > info.frames:
        notes.append(
            f"{name} is cut off: {info.frames} of about {info.promised} frames are present, and only these are scored"
        )
    rest = replace(report, absent=0)
    notes += [] if rest.ok else [f"{name}: {rest.sentence()}"]
    if not (run.folder / summary.FILE).exists():
        notes.append("the run was made before runs stored what an explanation needs; train it again to get one")
    if std == 0:
        notes.append("the method predicts a single number without uncertainty")
    elif run.recalibration is None:
        notes.append("the intervals are as predicted; they were not recalibrated on validation videos")
    return notes
