"""Shared code of the backbones for video: read clips in a single pass over the frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from aqakit.backbones.parts.base import Backbone
from aqakit.errors import VideoError
from aqakit.recordings import transforms, video
from aqakit.recordings.clips import ClipPlan, Frames
from aqakit.recordings.transforms import Convention, PixelRecipe, Shift, normalise
from aqakit.system.tensors import digest

Pixels = NDArray[np.uint8]


class VideoBackbone(Backbone):
    """Clips (T, H, W, 3) uint8 → features.

    Args:
        plan: clip plan, which assigns frames to clips.
        pixels: how frames are resized and cropped when they are read.
        colours: how they are normalised in :meth:`forward`.
    """

    reads = "video"
    plan: ClipPlan

    def __init__(self, plan: ClipPlan, pixels: PixelRecipe, colours: Convention) -> None:
        super().__init__()
        self.plan, self.pixels, self.colours = plan, pixels, colours

    def read(
        self,
        path: Path,
        window: tuple[int, int] | None = None,
        *,
        rate: video.Rate = "stored",
        report: video.Report | None = None,
    ) -> Iterator[Pixels]:
        """Yield clips (T, H, W, 3) in the order of the plan.

        Every frame is decoded and resized once, and kept in memory only as long as a later clip needs it.

        Args:
            path: a video file or a folder of numbered images.
            window: first and last frame of the action; None for the whole video.
            rate: what frame numbers count.
            report: counts the missing and damaged frames.

        Raises:
            VideoError: the video cannot be used, or the window is not inside it.
        """
        info = video.probe(path, rate)
        table = self._table(path, info.frames, window)
        if report is not None:
            report.uneven += info.varies and window is not None
        last_use = {number: row for row, clip in enumerate(table.tolist()) for number in clip}
        incoming = self._decode(path, last_use, rate, report)
        held: dict[int, Pixels] = {}
        for row, clip in enumerate(table.tolist()):
            while max(clip) not in held:
                number, frame = next(incoming)
                held[number] = frame
            yield np.stack([held[number] for number in clip])
            held = {number: frame for number, frame in held.items() if last_use[number] > row}
        next(incoming, None)  # the reader checks only at its end whether too many frames were missing

    def numbers(
        self, path: Path, window: tuple[int, int] | None = None, *, shift: Shift = 0, rate: video.Rate = "stored"
    ) -> Frames:
        """Return the (K,) numbers, in increasing order, of the frames read, if windows move within ``shift``.

        Raises:
            VideoError: as :meth:`read`.
        """
        length = video.probe(path, rate).frames
        first, last = transforms.reach(shift)
        moves = sorted({0, *range(first, last + 1)})  # the test does not move
        tables = [self._table(path, length, window, by) for by in moves]
        return np.unique(np.concatenate([table.ravel() for table in tables]))

    def frames(
        self,
        path: Path,
        window: tuple[int, int] | None = None,
        *,
        shift: Shift = 0,
        rate: video.Rate = "stored",
        report: video.Report | None = None,
    ) -> tuple[Pixels, Frames, int]:
        """Read all frames that :meth:`clips_of` can refer to.

        Returns:
            (K, H, W, 3) frames, their (K,) numbers in increasing order, and the number of frames of the video.

        Raises:
            VideoError: as :meth:`read`.
        """
        info, numbers = video.probe(path, rate), self.numbers(path, window, shift=shift, rate=rate)
        if report is not None:
            report.uneven += info.varies and window is not None
        pixels = np.stack([frame for _, frame in self._decode(path, numbers.tolist(), rate, report)])
        return pixels, numbers, info.frames

    def clips_of(self, numbers: Frames, length: int, shift: int = 0, window: tuple[int, int] | None = None) -> Frames:
        """Return (N, T) indices into the frames of :meth:`frames`, so that shifted clips need no further decoding."""
        return np.searchsorted(numbers, self.plan.within(window or (0, length - 1), length, shift))

    def mirror(self, clips: Tensor) -> Tensor:
        """Mirror clips (…, T, H, W, 3) left to right, as a mirrored scene would look."""
        return transforms.flip(clips)

    def normalise(self, clips: Tensor) -> Tensor:
        """(n, T, H, W, 3) uint8 → (n, T, 3, H, W) float32."""
        return normalise(clips, *self.colours)

    def fingerprint(self) -> dict[str, Any]:
        """Return clip plan, pixel recipe and colours; subclasses describe their network."""
        parts = {"plan": self.plan.fingerprint(), "pixels": self.pixels.fingerprint()}
        return parts | {"colours": self.colours._asdict()}

    def reading(self, path: Path) -> dict[str, Any]:
        """Return everything that affects the pixels read from one recording, as JSON values; no weights."""
        return {"plan": self.plan.fingerprint(), "pixels": self.pixels.fingerprint(), **self.fingerprint_of(path)}

    def _table(self, path: Path, length: int, window: tuple[int, int] | None, shift: int = 0) -> Frames:
        try:
            return self.plan.within(window or (0, length - 1), length, shift)
        except ValueError:
            first, last = window or (0, length - 1)
            raise VideoError(
                f"{path} has frames 0 to {length - 1}, but the window of the action is {first} to {last}"
            ) from None

    def _decode(
        self, path: Path, numbers: Iterable[int], rate: video.Rate, report: video.Report | None
    ) -> Iterator[tuple[int, Pixels]]:
        size, interpolation = self.pixels.size, self.pixels.interpolation
        found = video.stream(path, numbers, size=size, interpolation=interpolation, rate=rate, report=report)
        for number, frame in found:
            try:
                yield number, self.pixels.finish(frame)
            except ValueError as error:
                raise VideoError(f"{path}: {error}; set resize, or a smaller crop") from None


def weights_hash(model: nn.Module) -> str:
    """Return a hash of the names and values of all tensors of a model, independent of how they were stored."""
    return digest(model.state_dict())
