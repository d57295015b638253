"""Everything that does not depend on the dive: the pool of an event, seen from the side, and a diver's colours."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from aqakit.datasets.parts.dives.motion import PLATFORM

Colour = tuple[int, int, int]
LEFT, RIGHT, BOTTOM, TOP = -4.2, 6.4, -3.4, 14.6
"""Extent of the backdrop, in metres."""
_EDGE = 1.15  # height of the far edge of the pool above the point of entry in the image, in metres

_WALLS: tuple[Colour, ...] = (
    (96, 124, 164),
    (140, 148, 156),
    (92, 142, 150),
    (138, 150, 132),
    (128, 122, 158),
)
_WATERS: tuple[Colour, ...] = ((22, 116, 178), (18, 132, 168), (40, 100, 190), (14, 104, 150))
_SKINS: tuple[Colour, ...] = (
    (241, 200, 172),
    (224, 176, 142),
    (196, 142, 106),
    (150, 102, 74),
    (104, 70, 52),
)
_SUITS: tuple[Colour, ...] = (
    (196, 30, 44), (24, 40, 110), (20, 20, 26), (236, 190, 30), (18, 120, 74), (230, 230, 236), (120, 30, 120),
)  # fmt: skip
_HAIRS: tuple[Colour, ...] = ((34, 26, 22), (92, 60, 34), (196, 160, 96), (20, 50, 130), (200, 30, 50))


@dataclass(frozen=True)
class Look:
    """Colours of one diver; ``front`` and ``back`` of the suit differ so that twists are visible."""

    skin: Colour
    front: Colour
    back: Colour
    trunks: Colour
    hair: Colour


def diver_look(rng: np.random.Generator, light: float) -> Look:
    """Draw colours for skin, one-piece or trunks, and hair or cap, in the light of the event."""
    skin = _SKINS[rng.integers(len(_SKINS))]
    suit = _SUITS[rng.integers(len(_SUITS))]
    hair = _HAIRS[rng.integers(len(_HAIRS))]
    if rng.random() < 0.5:
        front, back, trunks = suit, shade(suit, 0.55), suit
    else:
        front, back, trunks = skin, shade(skin, 0.72), suit
    return Look(*(shade(colour, light) for colour in (skin, front, back, trunks, hair)))


def shade(colour: Colour, factor: float) -> Colour:
    """Make a colour darker (``factor`` < 1) or lighter (> 1)."""
    red, green, blue = (min(255, round(channel * factor)) for channel in colour)
    return red, green, blue


@dataclass(frozen=True)
class Scene:
    """An event's pool: the backdrop at ``scale`` pixels per metre, the water colour, and the light (1 is normal)."""

    backdrop: Image.Image
    water: Colour
    light: float
    scale: float

    def pixel(self, metres: np.ndarray) -> np.ndarray:
        """Convert x, y in metres (…, 2) to pixels of the backdrop."""
        return np.stack([metres[..., 0] - LEFT, TOP - metres[..., 1]], -1) * self.scale


@lru_cache(maxsize=4)
def scene(event: int, seed: int, size: int) -> Scene:
    """Return the pool of an event, for frames of ``size`` pixels that are drawn at twice the size and reduced."""
    rng = np.random.default_rng([seed, 1, event])
    light = float(rng.uniform(0.8, 1.15))
    scale = 2 * size / float(rng.uniform(3.5, 3.9))
    wall = shade(_WALLS[rng.integers(len(_WALLS))], light)
    water = shade(_WATERS[rng.integers(len(_WATERS))], light)
    image = Image.fromarray(_surfaces(rng, wall, water, scale))
    pool = Scene(image, water, light, scale)
    _furnish(pool, ImageDraw.Draw(image), rng, wall)
    return pool


def _surfaces(rng: np.random.Generator, wall: Colour, water: Colour, scale: float) -> np.ndarray:
    """Draw wall, seats with spectators, and water with ripples: (height, width, 3) uint8."""
    height, width = round((TOP - BOTTOM) * scale), round((RIGHT - LEFT) * scale)
    y = TOP - (np.arange(height) + 0.5)[:, None, None] / scale
    picture = np.array(wall) * (0.7 + 0.3 * (y - BOTTOM) / (TOP - BOTTOM)) * np.ones((height, width, 1))
    seats = (y > 2.6) & (y < 6.6)
    picture = np.where(seats, 0.6 * picture + _crowd(rng, height, width, 0.3 * scale), picture)
    ripple = rng.normal(size=(height // 4 + 1, width // 24 + 1, 1)).repeat(4, 0).repeat(24, 1)[:height, :width]
    wet = np.array(water) * (0.92 + 0.16 * (_EDGE - y) / (_EDGE - BOTTOM)) + 5 * ripple
    return np.asarray(np.clip(np.where(y < _EDGE, wet, picture), 0, 255).astype(np.uint8))


def _crowd(rng: np.random.Generator, height: int, width: int, person: float) -> np.ndarray:
    """Draw blurred spectators: smooth colour noise (height, width, 3) with spots ``person`` pixels wide."""
    noise = rng.integers(25, 80, (math.ceil(height / person), math.ceil(width / person), 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC))


def _furnish(pool: Scene, draw: ImageDraw.ImageDraw, rng: np.random.Generator, wall: Colour) -> None:
    """Draw windows, a banner, the deck, lane ropes and the tower with its platforms."""
    for x in np.arange(LEFT + rng.uniform(0, 1), RIGHT, 1.7):
        _box(pool, draw, (x, 10.6, x + 1.2, 13.6), shade(wall, 1.14))
    banner = shade(_SUITS[rng.integers(len(_SUITS))], 0.8 * pool.light)
    _box(pool, draw, (LEFT, 6.6, RIGHT, 7.3), banner)
    for x in np.arange(LEFT + rng.uniform(0, 2), RIGHT, 2.6):
        _box(pool, draw, (x, 6.8, x + 1.1, 7.1), shade((235, 235, 235), pool.light))
    _box(pool, draw, (LEFT, _EDGE, RIGHT, _EDGE + 0.22), shade((206, 204, 196), pool.light))
    for y in (0.55, -1.2, -2.8):
        _box(pool, draw, (LEFT, y - 0.03, RIGHT, y + 0.03), shade(pool.water, 0.72))
    concrete = shade((178, 174, 166), pool.light)
    _box(pool, draw, (-3.6, _EDGE, -2.5, PLATFORM), shade(concrete, 0.8))
    for level in (3.0, 5.0, 7.5):
        _box(pool, draw, (LEFT, level - 0.22, -1.9, level), shade(concrete, 0.9))
    _box(pool, draw, (LEFT, PLATFORM - 0.34, 0.0, PLATFORM), concrete)
    _box(pool, draw, (LEFT, PLATFORM - 0.06, 0.0, PLATFORM), shade(concrete, 1.2))


def _box(pool: Scene, draw: ImageDraw.ImageDraw, box: tuple[float, float, float, float], colour: Colour) -> None:
    left, low, right, high = box
    corners = pool.pixel(np.array([[left, high], [right, low]]))
    draw.rectangle(corners.ravel().tolist(), fill=colour)
