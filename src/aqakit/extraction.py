"""Features of a whole data set, into the cache: what cannot be read is listed and does not stop the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aqakit import datasets, discovery, engines, features
from aqakit.backbones import Backbone
from aqakit.backbones._video import VideoBackbone
from aqakit.errors import AqakitError
from aqakit.features import Clips
from aqakit.files import default_cache
from aqakit.recipe import Recipe, build_backbones
from aqakit.types import Sample


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

    def add(self, sample: Sample, found: dict[str, Clips], backbones: dict[str, Backbone]) -> None:
        """Count a recording."""
        self.recordings += 1
        self.fresh += any(c.fresh for c in found.values())
        self.clips += sum(len(c.features) for c in found.values())
        self.short += any(_is_short(sample, found[name], backbone) for name, backbone in backbones.items())

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
    cache: Path | None = None,
) -> Extracted:
    """Compute what is missing in the cache; stopped in mid-run, the next call goes on where this one was.

    Args:
        data: name of a data set, or name:option=value.
        root: its folder; for manifest the CSV file.
        backbones: each as name or name:option=value.
        engine: ``torch`` or ``openvino``.
        precision: ``float32`` or ``bfloat16``.
        cache: a folder; the default one where None.

    Raises:
        AqakitError: data set, backbone, engine or options do not fit.
    """
    name, options = discovery.parse_spec(data)
    runner = engines.make(engine, precision)
    chosen = tuple(discovery.parse_spec(text) for text in backbones)
    built = build_backbones(Recipe(method="", data=name, backbones=chosen))
    dataset = datasets.load(name, root, **options)
    done = Extracted()
    for sample, found in features.each(dataset.samples, built, cache or default_cache(), runner):
        if isinstance(found, AqakitError):
            done.failures[sample.id] = str(found)
        else:
            done.add(sample, found, built)
    return done


def _is_short(sample: Sample, clips: Clips, backbone: Backbone) -> bool:
    return isinstance(backbone, VideoBackbone) and backbone.plan.short(clips.length, sample.window)
