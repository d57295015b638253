"""Small pictures by which a person knows a video again."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from aqakit.recordings import video

SIZE = (112, 63)
"""Pixels that a picture fits in: width and height, of the 16 : 9 of most videos."""


def thumbnail(path: Path, size: tuple[int, int] = SIZE) -> bytes:
    """Return the middle frame of a video, or of a folder of pictures, as JPEG that fits in ``size`` (width, height).

    Raises:
        VideoError: it cannot be read.
    """
    middle = video.probe(path).frames // 2
    (frame,) = video.frames(path, [middle], size=lambda height, width: _fitting(height, width, size))
    out = io.BytesIO()
    Image.fromarray(frame).save(out, "JPEG", quality=80)
    return out.getvalue()


def _fitting(height: int, width: int, size: tuple[int, int]) -> tuple[int, int]:
    scale = min(size[0] / width, size[1] / height)
    return max(1, round(height * scale)), max(1, round(width * scale))
