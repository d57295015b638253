"""Turned squares of a picture, in which a network sees a body upright, and what they show.

Positions are in pixels, of which the first has its middle at (0.5, 0.5); y counts downwards.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Array = NDArray[np.float32]

LARGER = 1.25
"""Sides of a region per diameter of the circle around the body that the two guide points tell."""

_BITS = 21
"""Bits of a colour while pixels are mixed: 8 of its own, 12 of the weights."""


class Region(NamedTuple):
    """A square: its middle, its side, and the angle by which its content is turned clockwise from upright, radians."""

    x: float
    y: float
    side: float
    turn: float

    @classmethod
    def of_guides(cls, middle: NDArray[np.floating], top: NDArray[np.floating]) -> Region:
        """Return the region of a body from the middle of its hips and the point that tells its size and turn.

        >>> Region.of_guides(np.array([50.0, 50.0]), np.array([50.0, 30.0]))
        Region(x=50.0, y=50.0, side=50.0, turn=0.0)
        """
        across, down = (float(b - a) for a, b in zip(middle, top))
        turn = math.atan2(across, -down) + 0.0
        return cls(float(middle[0]), float(middle[1]), 2 * LARGER * math.hypot(across, down), turn)

    @property
    def axes(self) -> NDArray[np.float64]:
        """(2, 2) the picture's (x, y) of one step to the right, and of one downwards, inside the region."""
        cos, sin = math.cos(self.turn), math.sin(self.turn)
        return np.array([[cos, sin], [-sin, cos]])

    def to_picture(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Points (…, 2) in shares of the region's side from its upper left corner → pixels of the picture.

        >>> Region(10.0, 20.0, 4.0, 0.0).to_picture(np.array([[0.5, 0.5], [1.0, 0.5]])).tolist()
        [[10.0, 20.0], [12.0, 20.0]]
        """
        return np.array([self.x, self.y]) + (np.asarray(points, np.float64) - 0.5) * self.side @ self.axes

    def scaled(self, factor: float) -> Region:
        """Return the same region in a picture resized by a factor."""
        return Region(self.x * factor, self.y * factor, self.side * factor, self.turn)

    def moved(self, x: float, y: float) -> Region:
        """Return the region moved by a distance in pixels."""
        return self._replace(x=self.x + x, y=self.y + y)

    @property
    def is_usable(self) -> bool:
        """Whether the numbers are finite and the side is above one pixel."""
        return all(map(math.isfinite, self)) and self.side > 1


def between(first: Region, second: Region, share: float) -> Region:
    """Return the region a share of the way from one to another, turning the shorter way round.

    >>> between(Region(0.0, 0.0, 4.0, 0.5), Region(2.0, 4.0, 4.0, 1.5), 0.5)
    Region(x=1.0, y=2.0, side=4.0, turn=1.0)
    """
    turn = first.turn + share * math.remainder(second.turn - first.turn, math.tau)
    side = first.side ** (1 - share) * second.side**share
    x, y = (a + share * (b - a) for a, b in zip(first[:2], second[:2]))
    return Region(x, y, side, math.remainder(turn, math.tau))


class Difference(NamedTuple):
    """How two regions differ: distance of the middles in sides, logarithm of the ratio of sides, turn in radians."""

    distance: float
    size: float
    turn: float


def difference(first: Region, second: Region) -> Difference:
    """Return how two regions differ; all three are 0 or more."""
    distance = math.hypot(first.x - second.x, first.y - second.y) / math.sqrt(first.side * second.side)
    turn = abs(math.remainder(second.turn - first.turn, math.tau))
    return Difference(distance, abs(math.log(second.side / first.side)), turn)


def cut(picture: Image, region: Region, size: int) -> Array:
    """Return what a region shows, upright: (size, size, 3) float32 in [0, 1], bilinear; outside the picture, black.

    A region of much more than ``size`` pixels is averaged over 2×2, 3×3, … pixels first.
    """
    step = max(1, int(region.side / size / 1.5))
    corner, part = _surroundings(picture, region)
    region = region.moved(-corner[0], -corner[1])
    if step > 1:
        part = _shrunk(part, step)
        region = region.scaled(1 / step)
    grid = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5
    right, down = (region.axes * region.side).astype(np.float32)
    x = region.x + grid[None, :] * right[0] + grid[:, None] * down[0] + np.float32(0.5)  # one pixel of black around
    y = region.y + grid[None, :] * right[1] + grid[:, None] * down[1] + np.float32(0.5)
    return _bilinear(part, x.astype(np.float32), y.astype(np.float32))


def _surroundings(picture: Image, region: Region) -> tuple[tuple[int, int], Image]:
    """Return the upper left corner, and the part of a picture around a region, which may be empty."""
    reach = float(np.abs(region.axes).sum(0).max()) * region.side / 2 + 2
    height, width = picture.shape[:2]
    left, right = (int(np.clip(region.x + sign * reach, 0, width)) for sign in (-1, 1))
    upper, lower = (int(np.clip(region.y + sign * reach, 0, height)) for sign in (-1, 1))
    return (left, upper), picture[upper:lower, left:right]


def _shrunk(picture: Image, step: int) -> Image:
    """Return the means of step × step pixels; what is left over at the right and below is cut."""
    height, width = (side // step for side in picture.shape[:2])
    blocks = picture[: height * step, : width * step].reshape(height, step, width, step, 3)
    return (blocks.sum((1, 3), dtype=np.uint32) // step**2).astype(np.uint8)


def _bilinear(picture: Image, x: Array, y: Array) -> Array:
    """Read a picture, with a border of one black pixel around it, between pixels: (n, m) positions → (n, m, 3).

    Positions count in 64ths of a pixel. The three colours of a pixel are in one number, 21 bits each, so that one sum
    of products mixes all of them: four times as fast in NumPy as mixing three colours of floats.
    """
    height, width = picture.shape[:2]
    padded = np.zeros((height + 2, width + 2), np.uint64)
    for colour in range(3):
        padded[1:-1, 1:-1] |= picture[..., colour].astype(np.uint64) << np.uint64(_BITS * colour)
    pixels = padded.ravel()
    across, down = ((here.clip(0, side + 0.999) * 64).astype(np.int64) for here, side in ((x, width), (y, height)))
    fx, fy = across & 63, down & 63
    at = (down >> 6) * (width + 2) + (across >> 6)
    both = fx * fy
    weights = (4096 - 64 * (fx + fy) + both, 64 * fx - both, 64 * fy - both, both)
    mixed = np.zeros(x.shape, np.uint64)
    for step, weight in zip((0, 1, width + 2, width + 3), weights):
        mixed += pixels.take(at + step) * weight.view(np.uint64)
    shown = np.empty((*x.shape, 3), np.float32)
    for colour in range(3):
        shown[..., colour] = (mixed >> np.uint64(_BITS * colour)) & np.uint64(2**_BITS - 1)
    shown *= np.float32(1 / (4096 * 255))
    return shown


def letterbox(height: int, width: int, size: int) -> tuple[tuple[int, int], float, tuple[int, int]]:
    """Return how a picture fits a square: its (height, width) inside, pixels per pixel, and its left and upper edge.

    >>> letterbox(240, 320, 224)
    ((168, 224), 0.7, (0, 28))
    """
    scale = size / max(height, width)
    inside = max(1, round(height * scale)), max(1, round(width * scale))
    return inside, scale, ((size - inside[1]) // 2, (size - inside[0]) // 2)
