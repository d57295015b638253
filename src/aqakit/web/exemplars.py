"""The recordings that a run has learnt from, to look at beside one that resembles them."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from aqakit.datasets.parts.loading import load
from aqakit.errors import AqakitError, DataError
from aqakit.recordings.thumbnails import thumbnail
from aqakit.training.data import one_task
from aqakit.training.run import Run
from aqakit.web.figures import figure
from aqakit.web.models import Glimpse
from aqakit.web.motion import curves

SIZE = (240, 180)
"""Pixels that the picture of a video fits in: width and height."""

FRAMES = 300
"""Frames of a skeleton that are drawn."""


def learnt_from(run: Path, sample: str, kind: str = "video") -> Path:
    """Return the file of a training recording.

    Args:
        run: folder of the run.
        sample: id of the recording.
        kind: ``video``, ``skeleton`` or ``signal``.

    Raises:
        DataError: it is none of the run's training recordings, is part of a longer one, or is gone.
    """
    try:
        path = _recordings(run, kind).get(sample)
    except AqakitError as error:
        raise DataError(f"the data that this run has learnt from cannot be read: {error}") from None
    if path is None:
        raise DataError(f"{sample} is no {kind} of its own from which this run has learnt")
    if not path.is_file():
        raise DataError(f"the {kind} of {sample} is gone; the run was trained on it, and it has been moved or deleted")
    return path


@lru_cache(maxsize=4)
def _recordings(folder: Path, kind: str) -> Mapping[str, Path]:
    run = Run.load(folder)
    recipe, known = run.recipe, set(run.training_summary.ids)
    dataset = one_task(load(recipe.data, recipe.root, **recipe.data_options), recipe.task)
    own = [s for s in dataset.samples if s.id in known and s.window is None]
    return {s.id: s.sources[kind] for s in own if kind in s.sources}


def glimpses(paths: Sequence[Path], samples: Sequence[str], kind: str, layout: str | None) -> list[Glimpse]:
    """Return what each recording looks like: the middle of a video, the bones of a skeleton, the curves of a table.

    Runs in a process that may die. One that cannot be read has a ``problem`` instead.
    """
    return [_glimpse(path, sample, kind, layout) for path, sample in zip(paths, samples, strict=True)]


def _glimpse(path: Path, sample: str, kind: str, layout: str | None) -> Glimpse:
    found = Glimpse(sample=sample)
    try:
        if kind == "video":
            found.picture = "data:image/jpeg;base64," + base64.b64encode(thumbnail(path, SIZE)).decode()
        elif kind == "skeleton":
            found.figure = figure(path, layout, FRAMES)
        else:
            found.curves = curves(path, kind)
    except AqakitError as error:
        found.problem = str(error).replace(str(path), sample)
    return found
