"""FFmpeg's command line as an oracle, where it is installed; the library decodes with the FFmpeg inside PyAV."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs the command ffmpeg")


def ffmpeg(*arguments: object) -> bytes:
    """Run FFmpeg, and return what it writes to standard output."""
    command = ["ffmpeg", "-y", "-loglevel", "error", *map(str, arguments)]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout


def pictures(path: Path, *options: str) -> list[np.ndarray]:
    """All pictures (H, W, 3) that FFmpeg writes of a video, by default at a constant rate."""
    raw = ffmpeg("-i", path, *options, "-f", "image2pipe", "-c:v", "ppm", "-")
    found = []
    while raw:
        _, size, _, rest = raw.split(b"\n", 3)
        width, height = map(int, size.split())
        found.append(np.frombuffer(rest[: 3 * width * height], np.uint8).reshape(height, width, 3))
        raw = rest[3 * width * height :]
    return found
