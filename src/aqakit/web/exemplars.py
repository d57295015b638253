"""The videos that a run has learnt from, to look at beside one that resembles them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from aqakit.datasets.parts.loading import load
from aqakit.errors import AqakitError, DataError
from aqakit.training.data import one_task
from aqakit.training.run import Run


def learnt_from(run: Path, sample: str) -> Path:
    """Return the file of a training video.

    Args:
        run: folder of the run.
        sample: id of the video.

    Raises:
        DataError: it is none of the run's training videos, is part of a longer one, or is gone.
    """
    try:
        path = _videos(run).get(sample)
    except AqakitError as error:
        raise DataError(f"the data that this run has learnt from cannot be read: {error}") from None
    if path is None:
        raise DataError(f"{sample} is no video of its own from which this run has learnt")
    if not path.is_file():
        raise DataError(f"the video of {sample} is gone; the run was trained on it, and it has been moved or deleted")
    return path


@lru_cache(maxsize=4)
def _videos(folder: Path) -> Mapping[str, Path]:
    run = Run.load(folder)
    recipe, known = run.recipe, set(run.training_summary.ids)
    dataset = one_task(load(recipe.data, recipe.root, **recipe.data_options), recipe.task)
    own = [s for s in dataset.samples if s.id in known and s.window is None]
    return {s.id: s.sources["video"] for s in own if "video" in s.sources}
