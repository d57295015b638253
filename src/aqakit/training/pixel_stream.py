"""Clips of pixels on their way to the network: each frame is held and moved once, however many clips show it.

Neighbouring clips share frames, so that the frames of a video are fewer than those of its clips (103 instead of 160
with the plan of DAE). Clips are gathered, moved and mirrored where the network computes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from aqakit.backbones.parts.video import VideoBackbone
from aqakit.features import frame_storage
from aqakit.features.frame_storage import Frames
from aqakit.types import Stream


@dataclass(frozen=True)
class Augmentation:
    """One random augmentation of a training video, the same for all its frames and all backbones."""

    shift: int = 0
    mirrored: bool = False
    down: int = 0
    right: int = 0

    def apply(self, frames: Tensor, backbone: VideoBackbone) -> Tensor:
        """Translate and mirror frames (…, H, W, 3) of a backbone."""
        for axis, by in ((-3, self.down), (-2, self.right)):
            if by:
                size = frames.shape[axis]
                place = (torch.arange(size, device=frames.device) - by).clamp(0, size - 1)
                frames = frames.index_select(axis, place)
        return backbone.mirror(frames) if self.mirrored else frames


@dataclass(frozen=True)
class View:
    """What a batch shows of one video.

    Attributes:
        frames: (K, H, W, 3) uint8 as read, only those that are shown.
        table: (N, T) int64, the frames of each clip.
        seen: how they are moved and mirrored; the shift is already in the table.
    """

    frames: Tensor
    table: Tensor
    seen: Augmentation

    @classmethod
    def of(cls, frames: Frames, table: np.ndarray, seen: Augmentation) -> View:
        """View some of the frames of a recording."""
        used, places = np.unique(table, return_inverse=True)
        return cls(frame_storage.select(frames, used), torch.from_numpy(places.reshape(table.shape)), seen)

    def clips(self, backbone: VideoBackbone, out: Tensor | None = None) -> Tensor:
        """Gather the clips (N, T, H, W, 3), into ``out`` if given."""
        frames = self.seen.apply(self.frames, backbone)
        if out is None:
            out = frames.new_empty(*self.table.shape, *frames.shape[1:])
        torch.index_select(frames, 0, self.table.flatten(), out=out.view(-1, *frames.shape[1:]))
        return out


class PixelStream(Stream):
    """A stream whose features, the clips (B, N, T, H, W, 3) uint8, are gathered whenever they are asked for.

    Args:
        views: one for each of B videos.
        backbone: which reads them.
    """

    def __init__(self, views: Sequence[View], backbone: VideoBackbone) -> None:
        counts = torch.tensor([len(view.table) for view in views])
        clips = torch.arange(int(counts.max())) < counts[:, None]
        for name, value in (("views", tuple(views)), ("backbone", backbone), ("clips", clips)):
            object.__setattr__(self, name, value)  # a stream does not change

    views: tuple[View, ...]
    backbone: VideoBackbone

    @property
    def features(self) -> Tensor:
        """Clips (B, N, T, H, W, 3) uint8, padded with zeros."""
        return Stream.stack([view.clips(self.backbone) for view in self.views]).features

    def shown(self) -> Tensor:
        """Return (n, T, H, W, 3): the clips that are not padding, video by video."""
        first = self.views[0]
        counts = [len(view.table) for view in self.views]
        found = first.frames.new_empty(sum(counts), first.table.shape[1], *first.frames.shape[1:])
        for view, out in zip(self.views, found.split(counts), strict=True):
            view.clips(self.backbone, out)
        return found

    def select(self, index: Tensor) -> PixelStream:
        """Return the rows of ``index`` (b,), without the clips that are padding in all of them."""
        return PixelStream([self.views[row] for row in index.tolist()], self.backbone)._to(self.clips.device)

    def to(self, device: torch.device | str) -> PixelStream:
        """Return the stream on a device, where clips are then gathered; pinned frames are moved in the background."""
        views = [
            replace(view, frames=view.frames.to(device, non_blocking=True), table=view.table.to(device))
            for view in self.views
        ]
        return PixelStream(views, self.backbone)._to(device)

    def pinned(self) -> PixelStream:
        """Return the stream with its frames in memory from which a GPU copies in the background."""
        return PixelStream([replace(v, frames=v.frames.pin_memory()) for v in self.views], self.backbone)

    def _to(self, device: torch.device | str) -> PixelStream:
        object.__setattr__(self, "clips", self.clips.to(device))
        return self
