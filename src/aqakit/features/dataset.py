"""Extract the features of a whole data set into the cache; unreadable recordings are listed and skipped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch

from aqakit import discovery
from aqakit.backbones.parts.base import Backbone
from aqakit.backbones.parts.building import build_backbones
from aqakit.backbones.parts.video import VideoBackbone
from aqakit.datasets.parts.loading import load as load_dataset
from aqakit.errors import AqakitError
from aqakit.features import cache as packs
from aqakit.features import engines, extract
from aqakit.features.cluster import map_distributed
from aqakit.features.engines import Engine
from aqakit.features.extract import Clips
from aqakit.system.files import default_cache
from aqakit.system.progress import ThroughputLogger, track
from aqakit.types import Sample


@dataclass(frozen=True)
class RecordingResult:
    """Result of feature extraction for one recording.

    Attributes:
        clips: number of clips with features, over all backbones.
        fresh: how many of these were computed now rather than found in the cache.
        short: whether the recording is shorter than a backbone's clip plan, so that frames are repeated.
        problem: error message, if the recording could not be read.
        doubt: what must be said of a recording that could be read only in part.
    """

    clips: int = 0
    fresh: int = 0
    short: bool = False
    problem: str | None = None
    doubt: str | None = None


@dataclass
class ExtractionSummary:
    """Result of feature extraction for a data set.

    Attributes:
        recordings: number of recordings with features of every backbone.
        fresh: how many of these have features that were computed now rather than found in the cache.
        clips: number of their clips, over all backbones.
        short: number of recordings shorter than a backbone's clip plan, so that frames are repeated.
        failures: id → error message.
        doubts: id → what must be said of recordings that could be read only in part.
    """

    recordings: int = 0
    fresh: int = 0
    clips: int = 0
    short: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    doubts: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, outcome: RecordingResult) -> None:
        """Add the outcome of one recording."""
        if outcome.problem is not None:
            self.failures[name] = outcome.problem
            return
        self.recordings += 1
        self.fresh += outcome.fresh > 0
        self.clips += outcome.clips
        self.short += outcome.short
        if outcome.doubt is not None:
            self.doubts[name] = outcome.doubt

    def sentence(self) -> str:
        """Return a one-line summary.

        >>> ExtractionSummary(recordings=9, fresh=2, clips=90, short=1).sentence()
        '9 recordings have their features (90 clips), 2 of them new; 1 shorter than the clip plan, frames repeat'
        """
        text = f"{self.recordings} recordings have their features ({self.clips} clips), {self.fresh} of them new"
        text += f"; {self.short} shorter than the clip plan, frames repeat" if self.short else ""
        text += f"; {len(self.doubts)} could be read only in part" if self.doubts else ""
        return text + (f"; {len(self.failures)} could not be read" if self.failures else "")


def extract_dataset(
    data: str,
    *,
    root: Path | str | None = None,
    backbones: Sequence[str],
    engine: str = "auto",
    precision: str = "float32",
    calibration: Path | None = None,
    cache: Path | None = None,
    workers: int = 0,
    cluster: str | None = None,
    pack: bool = False,
) -> ExtractionSummary:
    """Compute all features that are missing in the cache; after an interruption, the next call resumes.

    Args:
        data: name of a data set, or name:option=value.
        root: its folder; for manifest the CSV file.
        backbones: each as name or name:option=value.
        engine: ``auto``, ``torch`` or ``openvino``; see :func:`aqakit.features.engines.make`.
        precision: ``float32``, ``bfloat16`` or ``int8``.
        calibration: a representative recording to calibrate int8.
        cache: folder of the cache; if None, the default one.
        workers: number of worker processes; 0: the work is done in this process.
        cluster: address of a Ray cluster to distribute the work to; all its machines must see data and cache under
            the same paths. ``workers`` 0 then means one worker per GPU, or per machine if there are no GPUs.
        pack: pack the cache at the end; more than 100,000 recordings of one backbone are packed in any case.

    Raises:
        AqakitError: data set, backbone, engine and options do not fit together, or the cluster cannot be joined.
    """
    name, options = discovery.parse_spec(data)
    chosen = [discovery.parse_spec(text) for text in backbones]
    runner = partial(engines.make, engine, precision, calibration)
    prepare = partial(_Work, chosen, runner, (cache or default_cache()).absolute())
    work = prepare()  # raises errors here, even if other processes do the work
    samples = load_dataset(name, root, **options).samples
    done = ExtractionSummary()
    shared = workers > 0 or cluster is not None
    outcomes = _elsewhere(samples, prepare, workers, cluster) if shared else zip(samples, work(samples))
    for sample, outcome in outcomes:
        done.add(sample.id, outcome)
    for folder in ((cache or default_cache()) / "features" / backbone for backbone, _ in chosen):
        if pack or packs.too_many(folder):
            packs.pack(folder)
    return done


class _Work:
    """Backbones and engine, loaded once, to fill the cache with features of recordings."""

    def __init__(self, chosen: Sequence[tuple[str, Mapping[str, str]]], engine: partial[Engine], cache: Path) -> None:
        self._engine, self._backbones, self._cache = engine(), build_backbones(chosen, seed=0), cache

    def __call__(self, samples: Sequence[Sample]) -> Iterator[RecordingResult]:
        """Yield the outcome of each sample, in order."""
        if self._engine.name == "torch" and torch.cuda.is_available():
            for backbone in self._backbones.values():
                backbone.cuda()
        for sample, found in extract.iter_features(samples, self._backbones, self._cache, self._engine):
            yield (
                RecordingResult(problem=str(found)) if isinstance(found, AqakitError) else self._result(sample, found)
            )

    def _result(self, sample: Sample, found: Mapping[str, Clips]) -> RecordingResult:
        return RecordingResult(
            clips=sum(len(c.features) for c in found.values()),
            fresh=sum(len(c.features) for c in found.values() if c.fresh),
            doubt=None if (report := extract.worst([c.report for c in found.values()])).ok else report.sentence(),
            short=any(_is_short(sample, found[name], backbone) for name, backbone in self._backbones.items()),
        )


def _elsewhere(
    samples: Sequence[Sample], prepare: partial[_Work], workers: int, address: str | None
) -> Iterator[tuple[Sample, RecordingResult]]:
    """Process samples in other processes; yield each with its outcome when it is done."""
    clock = ThroughputLogger(len(samples))
    with closing(map_distributed(samples, prepare, workers=workers, address=address)) as answers:
        for _ in track(samples, "features"):
            sample, outcome = next(answers)
            outcome = outcome or RecordingResult(
                problem=f"{sample.id}: every process that read it died; is there enough memory?"
            )
            clock.update(outcome.fresh)
            yield sample, outcome
    clock.close()


def _is_short(sample: Sample, clips: Clips, backbone: Backbone) -> bool:
    return isinstance(backbone, VideoBackbone) and backbone.reader(sample).plan.short(clips.length, sample.window)
