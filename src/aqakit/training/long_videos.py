"""Summarise long videos unless the user decides: hundreds of clips cost minutes in every method and rank worse.

Whether videos are long is told by the number of clips of the training samples alone.
"""

from __future__ import annotations

import statistics
from dataclasses import replace

from aqakit.training.assessor import build_method
from aqakit.training.batches import BatchSource, CachedFeatures
from aqakit.training.data import PreparedData
from aqakit.training.folds import RunSplit
from aqakit.training.recipe import Recipe
from aqakit.types import LabelSpec

LONG = 32
"""Videos are long if more than half of those trained on have more clips than this."""

WINDOWS = 5
"""In which long videos are summarised."""


def settle(recipe: Recipe, prepared: PreparedData, split: RunSplit) -> tuple[Recipe, PreparedData, list[str]]:
    """Settle in how many windows the videos of a run are summarised, and whether channels are standardised.

    Returns:
        The recipe with what was decided; the data as it reads them; and what a reader must know of it.
    """
    notes = []
    if recipe.summarise == "auto":
        clips = typical_clips(prepared.subset(split.train))
        windows = WINDOWS if clips > LONG and _can_be_summarised(recipe, prepared) else 0
        recipe = replace(recipe, summarise=windows)
        if windows:
            prepared = prepared.summarised(windows)
            notes.append(note(f"videos have {clips:g} clips"))
    if recipe.windows and recipe.standardise == "auto":  # a mean and a change differ in size
        recipe = replace(recipe, standardise="yes")
    return recipe, prepared, notes


def note(videos: str) -> str:
    """The sentence that says that videos were summarised."""
    return f"{videos}: summarised in {WINDOWS} windows, channels standardised; --summarise 0 keeps every clip"


def typical_clips(source: BatchSource) -> float:
    """Median number of clips of the videos, in the stream where they have most; 0 without cached features."""
    if not isinstance(source, CachedFeatures) or not len(source):
        return 0
    counts = [stream.counts[source.rows].tolist() for stream in source.pool.streams.values()]
    return max(map(statistics.median, counts), default=0)


def _can_be_summarised(recipe: Recipe, prepared: PreparedData) -> bool:
    """Whether features are vectors, and the method does not need the clips themselves."""
    if not isinstance(prepared.source, CachedFeatures):
        return False
    streams = prepared.source.pool.streams.items()
    shapes = {name: tuple(stream.shape[2:]) for name, stream in streams}
    return all(len(shape) == 1 for shape in shapes.values()) and not _needs_clips(
        recipe, shapes, prepared.dataset.labels
    )


def _needs_clips(recipe: Recipe, shapes: dict[str, tuple[int, ...]], labels: LabelSpec) -> bool:
    built = build_method(recipe.method, recipe.options, shapes, labels, target=recipe.target, fuse=recipe.fuse)
    return built.needs_clips
