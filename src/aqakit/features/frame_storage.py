"""How the decoded frames of ``--finetune`` lie in the cache: as they are, or as JPEG, in less room and with loss."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

Storage = Literal["raw", "jpeg"]

QUALITY = 95
"""Of the JPEGs, with colours at full resolution. Frames of golf and arm wrestling take 13 % of their size then, and
differ by a root mean square of 1.4 grey levels (45 dB)."""


@dataclass(frozen=True)
class JpegFrames:
    """Frames that are decoded when they are asked for.

    Attributes:
        content: (bytes,) uint8, one JPEG after another.
        ends: (K,) int64, where each ends.
    """

    content: Tensor
    ends: Tensor

    @classmethod
    def of(cls, frames: NDArray[np.uint8]) -> JpegFrames:
        """Compress frames (K, H, W, 3)."""
        coded = [_coded(frame) for frame in frames]
        ends = np.cumsum([len(one) for one in coded])
        return cls(torch.frombuffer(bytearray(b"".join(coded)), dtype=torch.uint8), torch.from_numpy(ends))

    @property
    def nbytes(self) -> int:
        """Bytes that they take as they are."""
        return self.content.nbytes

    def select(self, rows: NDArray[np.int64]) -> Tensor:
        """Decode some of them, (n, H, W, 3) uint8."""
        ends, content = self.ends.tolist(), self.content.numpy()
        starts = [0, *ends]
        return torch.from_numpy(np.stack([_decoded(content[starts[k] : ends[k]]) for k in rows.tolist()]))


Frames = Tensor | JpegFrames


def stored(frames: NDArray[np.uint8], storage: Storage) -> dict[str, Tensor]:
    """Return the tensors to keep of frames (K, H, W, 3)."""
    if storage == "raw":
        return {"frames": torch.from_numpy(frames)}
    coded = JpegFrames.of(frames)
    return {"jpeg": coded.content, "ends": coded.ends}


def restored(tensors: Mapping[str, Tensor]) -> Frames:
    """Return the frames that :func:`stored` was given."""
    return JpegFrames(tensors["jpeg"], tensors["ends"]) if "jpeg" in tensors else tensors["frames"]


def select(frames: Frames, rows: NDArray[np.int64]) -> Tensor:
    """Return some of the frames (n, H, W, 3), in increasing order; if they follow each other, none is copied."""
    if isinstance(frames, JpegFrames):
        return frames.select(rows)
    first, last = int(rows[0]), int(rows[-1])
    if last - first + 1 == len(rows):
        return frames[first : last + 1]
    return torch.from_numpy(frames.numpy().take(rows, axis=0))


def _coded(frame: NDArray[np.uint8]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(frame).save(out, "JPEG", quality=QUALITY, subsampling=0)
    return out.getvalue()


def _decoded(content: NDArray[np.uint8]) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(content.data)) as image:
        return np.asarray(image)
