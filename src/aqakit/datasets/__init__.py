"""ONE FILE = ONE DATA SET: a folder of recordings comes in, samples with their labels and splits go out.

May import ``recordings`` and the rooms on its left.

A file ``datasets/<name>.py`` has

- ``SCALE`` (a :class:`~aqakit.types.ScoreScale`, or None if the user's own file sets it), ``LICENCE``, ``CITATION``;
- ``samples(root, *, …options) -> list[Sample]``: the samples, in a fixed order; its keyword-only parameters are the
  options of the data set;
- ``labels(samples, *, …some of those options) -> LabelSpec``: the description of the labels;
- ``splits(samples, root, *, …some of those options) -> dict[str, list[Split]]``: every published protocol by name, the
  default one first;
- optionally ``known_errors(samples, root)``: known errors of the released files, for ``aqakit check``;
- optionally ``pairs(samples, root) -> list[Pair]``: which of two samples was better.

Shared code is in ``parts/``.
"""

from typing import TYPE_CHECKING

from aqakit.discovery import lazily

if TYPE_CHECKING:
    from aqakit.datasets.parts import declared, health, pairs
    from aqakit.datasets.parts.loading import Dataset, load

__all__ = ["Dataset", "declared", "health", "load", "pairs"]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "Dataset": "parts.loading:Dataset",
        "declared": "parts.declared",
        "health": "parts.health",
        "load": "parts.loading:load",
        "pairs": "parts.pairs",
    },
)
