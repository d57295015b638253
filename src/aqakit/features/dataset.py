"""Features of a whole data set, into the cache: what cannot be read is listed and does not stop the rest."""

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
from aqakit.features.cluster import share_out
from aqakit.features.engines import Engine
from aqakit.features.extract import Clips
from aqakit.system.files import default_cache
from aqakit.system.progress import Clock, track
from aqakit.types import Sample


@dataclass(frozen=True)
class Outcome:
    """What became of a recording.

    Attributes:
        clips: that have their features now, of all backbones.
        fresh: how many of these were computed just now and not found in the cache.
        short: whether it is shorter than a backbone's clip plan, so that frames are repeated.
        problem: a sentence, where it could not be read.
    """

    clips: int = 0
    fresh: int = 0
    short: bool = False
    problem: str | None = None


@dataclass
class Extracted:
    """What was done.

    Attributes:
        recordings: that have their features now, for each backbone alike.
        fresh: how many of these were computed just now and not found in the cache.
        clips: of all of them, by all backbones.
        short: recordings that are shorter than a backbone's clip plan, so that frames are repeated.
        failures: id → sentence.
    """

    recordings: int = 0
    fresh: int = 0
    clips: int = 0
    short: int = 0
    failures: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, outcome: Outcome) -> None:
        """Count a recording."""
        if outcome.problem is not None:
            self.failures[name] = outcome.problem
            return
        self.recordings += 1
        self.fresh += outcome.fresh > 0
        self.clips += outcome.clips
        self.short += outcome.short

    def sentence(self) -> str:
        """In words.

        >>> Extracted(recordings=9, fresh=2, clips=90, short=1).sentence()
        '9 recordings have their features (90 clips), 2 of them new; 1 shorter than the clip plan, frames repeat'
        """
        text = f"{self.recordings} recordings have their features ({self.clips} clips), {self.fresh} of them new"
        text += f"; {self.short} shorter than the clip plan, frames repeat" if self.short else ""
        return text + (f"; {len(self.failures)} could not be read" if self.failures else "")


def extract_dataset(
    data: str,
    *,
    root: Path | str | None = None,
    backbones: Sequence[str],
    engine: str = "torch",
    precision: str = "float32",
    calibration: Path | None = None,
    cache: Path | None = None,
    workers: int = 0,
    cluster: str | None = None,
    pack: bool = False,
) -> Extracted:
    """Compute what is missing in the cache; stopped in mid-run, the next call goes on where this one was.

    Args:
        data: name of a data set, or name:option=value.
        root: its folder; for manifest the CSV file.
        backbones: each as name or name:option=value.
        engine: ``torch`` or ``openvino``.
        precision: ``float32``, ``bfloat16`` or ``int8``.
        calibration: a recording like those to come, for int8.
        cache: a folder; the default one where None.
        workers: processes that share the work; 0: this one does it.
        cluster: address of a Ray cluster that shares the work, all of whose machines see data and cache under the
            same paths; ``workers`` 0 then means one for each GPU, or for each machine where there is none.
        pack: pack the cache when all is done; more than 100,000 recordings of one backbone are packed in any case.

    Raises:
        AqakitError: data set, backbone, engine or options do not fit, or the cluster cannot be joined.
    """
    name, options = discovery.parse_spec(data)
    chosen = [discovery.parse_spec(text) for text in backbones]
    runner = partial(engines.make, engine, precision, calibration)
    prepare = partial(_Work, chosen, runner, (cache or default_cache()).absolute())
    work = prepare()  # what does not fit is found here, even if others do the work
    samples = load_dataset(name, root, **options).samples
    done = Extracted()
    shared = workers > 0 or cluster is not None
    outcomes = _elsewhere(samples, prepare, workers, cluster) if shared else zip(samples, work(samples))
    for sample, outcome in outcomes:
        done.add(sample.id, outcome)
    for folder in ((cache or default_cache()) / "features" / backbone for backbone, _ in chosen):
        if pack or packs.too_many(folder):
            packs.pack(folder)
    return done


class _Work:
    """The backbones and their engine, loaded once, which fill the cache with the features of recordings."""

    def __init__(self, chosen: Sequence[tuple[str, Mapping[str, str]]], engine: partial[Engine], cache: Path) -> None:
        self._engine, self._backbones, self._cache = engine(), build_backbones(chosen, seed=0), cache

    def __call__(self, samples: Sequence[Sample]) -> Iterator[Outcome]:
        """What became of each, in order."""
        if self._engine.name == "torch" and torch.cuda.is_available():
            for backbone in self._backbones.values():
                backbone.cuda()
        for sample, found in extract.each(samples, self._backbones, self._cache, self._engine):
            yield Outcome(problem=str(found)) if isinstance(found, AqakitError) else self._outcome(sample, found)

    def _outcome(self, sample: Sample, found: Mapping[str, Clips]) -> Outcome:
        return Outcome(
            clips=sum(len(c.features) for c in found.values()),
            fresh=sum(len(c.features) for c in found.values() if c.fresh),
            short=any(_is_short(sample, found[name], backbone) for name, backbone in self._backbones.items()),
        )


def _elsewhere(
    samples: Sequence[Sample], prepare: partial[_Work], workers: int, address: str | None
) -> Iterator[tuple[Sample, Outcome]]:
    """Samples with what became of them in other processes, as it comes."""
    clock = Clock(len(samples))
    with closing(share_out(samples, prepare, workers=workers, address=address)) as answers:
        for _ in track(samples, "features"):
            sample, outcome = next(answers)
            outcome = outcome or Outcome(
                problem=f"{sample.id}: each process that read it died; is there enough memory?"
            )
            clock.count(outcome.fresh)
            yield sample, outcome
    clock.tell()


def _is_short(sample: Sample, clips: Clips, backbone: Backbone) -> bool:
    return isinstance(backbone, VideoBackbone) and backbone.plan.short(clips.length, sample.window)
