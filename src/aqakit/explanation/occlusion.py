"""Occlusion maps: how the score changes when a patch of a clip is greyed out (Zeiler and Fergus 2014)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aqakit.backbones.parts.video import VideoBackbone
from aqakit.errors import OptionError
from aqakit.features import extract, keys
from aqakit.training.run import Run
from aqakit.types import Sample

Pixels = NDArray[np.uint8]

_CLIPS_AT_ONCE = 16


@torch.inference_mode()
def occlusion(
    run: Run,
    recording: Path | str,
    clip: int,
    *,
    difficulty: float | None = None,
    window: tuple[int, int] | None = None,
    cells: int = 8,
    moments: int = 8,
) -> NDArray[np.float64]:
    """Return the change of the score, (T, cells, cells), when a patch of one clip is greyed out for some frames.

    Each patch in turn is filled with the clip's mean colour. If the change is negative, the content of the patch raised
    the score. This takes moments × cells² forward passes of the backbone over one clip.

    Args:
        run: a run that reads videos, with a live or frozen backbone.
        recording: a video file.
        clip: index of the clip, from 0; usually the decisive one of an
            :class:`~aqakit.explanation.contributions.Explanation`. If the run summarises videos, choose one of the
            clips that the decisive part consists of; the summary is computed anew for each patch.
        difficulty: the declared difficulty.
        window: first and last frame of the action.
        cells: number of patches along each side.
        moments: number of equal parts that the clip's T frames are split into; a patch is grey during one part.

    Raises:
        OptionError: the run does not read pixels with one backbone, or there is no such clip.
    """
    (name, backbone), *others = run.backbones.items()
    if others or not isinstance(backbone, VideoBackbone):
        raise OptionError(f"{run.folder}: an occlusion map needs a run that reads videos, with one backbone")
    sample = run.sample(recording, difficulty, window)
    path, clips = keys.source(sample, name, backbone), run.features(sample, name)
    if not 0 <= clip < len(clips):
        raise OptionError(f"{path}: has {len(clips)} clips, numbered from 0, and no clip {clip}")
    pixels = next(islice(backbone.reader(sample).read(path, window, rate=sample.rate), clip, None))
    changed = _greyed(pixels, cells, moments)
    before = run.assessor.predict_embedded(run.collate([sample], {name: [clips]})).mean
    change = [_seen_as(run, sample, clips, clip, part) - before for part in _chunks(changed)]
    grid = torch.cat(change).double().numpy().reshape(moments, cells, cells)
    return np.asarray(grid[_shares(len(pixels), moments)])


@torch.inference_mode()
def over_time(run: Run, sample: Sample, clips: Tensor, moments: int) -> NDArray[np.float64] | None:
    """Return the change of the score, (N, moments), when each of as many equal parts of each clip is greyed out.

    If it is negative, the moment raised the score. This takes N × moments forward passes of the backbone.

    Args:
        run: a run that does not summarise its videos.
        sample: a video.
        clips: features (N, *F) of its clips.
        moments: number of parts.

    Returns:
        None if the run does not read pixels with one backbone.
    """
    (name, backbone), *others = run.backbones.items()
    if others or not isinstance(backbone, VideoBackbone) or run.recipe.windows:
        return None
    path = keys.source(sample, name, backbone)
    before = run.assessor.predict_embedded(run.collate([sample], {name: [clips]})).mean
    rows = []
    for clip, pixels in enumerate(backbone.reader(sample).read(path, sample.window, rate=sample.rate)):
        parts = _chunks(_greyed(pixels, 1, moments))
        rows.append(torch.cat([_seen_as(run, sample, clips, clip, part) - before for part in parts]))
    return np.asarray(torch.stack(rows).double().numpy())


def _seen_as(run: Run, sample: Sample, clips: Tensor, clip: int, pixels: Sequence[Pixels]) -> Tensor:
    """Scores (m,) of a sample, with features (N, *F) of its clips, when one clip is replaced by each of m others."""
    ((name, backbone),) = run.backbones.items()
    seen = run.engine.embed(backbone, np.stack(pixels))
    seen = seen if run.assessor.live else extract.compact(seen, backbone).float()
    changed = [torch.cat([clips[:clip], one[None], clips[clip + 1 :]]) for one in seen]
    return run.assessor.predict_embedded(run.collate([sample] * len(seen), {name: changed})).mean


def _chunks(clips: Iterator[Pixels]) -> Iterator[list[Pixels]]:
    while chunk := list(islice(clips, _CLIPS_AT_ONCE)):
        yield chunk


def _greyed(pixels: Pixels, cells: int, moments: int) -> Iterator[Pixels]:
    """Yield the clip (T, H, W, 3) with each patch in turn filled with the clip's mean colour."""
    time, down, right = (_shares(size, parts) for size, parts in zip(pixels.shape, (moments, cells, cells)))
    colour = pixels.mean((0, 1, 2)).round().astype(np.uint8)
    for moment, row, column in np.ndindex(moments, cells, cells):
        changed = pixels.copy()
        changed[np.ix_(time == moment, down == row, right == column)] = colour
        yield changed


def _shares(size: int, parts: int) -> NDArray[np.int64]:
    """For each of ``size`` positions, the index of the equal part it is in: (size,)."""
    return np.arange(size) * parts // size
