"""Networks in place of BlazePose's: bodies are bright squares, whose joints are corners of the square around them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import av
import numpy as np

from aqakit.backbones.parts.blazepose.detection import Candidate
from aqakit.backbones.parts.blazepose.networks import GUIDES, Seen
from aqakit.backbones.parts.blazepose.regions import Image, Region, cut
from aqakit.backbones.weights.bundles import Files

COLOURS = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255), (0, 255, 255)])


class Squares:
    """Finds squares of the six full colours; a region shows a body if its colour is in the middle of it."""

    digest = "squares"

    def __init__(self, *_: object) -> None:
        self.looks = 0

    def candidates(self, picture: Image, least: float) -> list[Candidate]:
        found = []
        for colour in COLOURS:
            region = _of_colour(picture, colour)
            if region is not None:
                found.append(Candidate(region, 0.9))
        return found

    def candidates_in(self, picture: Image, region: Region, least: float) -> list[Candidate]:
        return []

    def joints(self, picture: Image, region: Region) -> Seen:
        self.looks += 1
        colour = COLOURS[np.abs(COLOURS - 255 * cut(picture, region, 32)[12:20, 12:20].mean((0, 1))).sum(1).argmin()]
        own = _of_colour(picture, colour)
        if own is None:
            return Seen(np.ones((39, 3), np.float32), np.ones(39, np.float32), 0.0)
        turn = np.linspace(0, 2 * np.pi, 39)
        points = np.zeros((39, 3), np.float32)
        points[:, :2] = np.stack([own.x + own.side / 5 * np.cos(turn), own.y + own.side / 5 * np.sin(turn)], 1)
        points[GUIDES[0], :2] = own.x, own.y
        points[GUIDES[1], :2] = own.x, own.y - own.side / 2.5
        return Seen(points, np.ones(39, np.float32), 1.0)


def _of_colour(picture: Image, colour: np.ndarray) -> Region | None:
    """The region of a square: five times as large."""
    y, x = np.nonzero((np.abs(picture.astype(int) - colour) < 90).all(2))
    if len(y) < 9:
        return None
    side = float(np.sqrt(len(y)))
    return Region(float(x.mean()) + 0.5, float(y.mean()) + 0.5, 2.5 * side, 0.0)


def files(*_: object) -> Files:
    return Files(Path("squares"), b"", hashlib.sha256().digest())


def write_squares(
    path: Path, places: np.ndarray, sides: list[int], *, size: tuple[int, int] = (96, 128), rate: int = 30
) -> Path:
    """Write a video of squares: their middles (T, n, 2) x and y, NaN where there is none."""
    with av.open(str(path), "w") as container:
        track = container.add_stream("ffv1", rate=rate)
        (track.height, track.width), track.pix_fmt = size, "bgr0"
        for some in places:
            picture = np.zeros((*size, 3), np.uint8)
            for (x, y), side, colour in zip(some, sides, COLOURS, strict=False):
                if np.isfinite(x):
                    left, upper = round(x - side / 2), round(y - side / 2)
                    picture[max(upper, 0) : upper + side, max(left, 0) : left + side] = colour
            container.mux(track.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(track.encode(None))
    return path
