"""The splash: foam on the water, a rising and falling column of water, and droplets in the air."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import ImageDraw

from aqakit.datasets.parts.dives.execution import Execution
from aqakit.datasets.parts.dives.scene import Colour, Scene

if TYPE_CHECKING:
    from aqakit.types import Floats  # loads torch

_DROPLETS = 130
_FOAM: Colour = (236, 244, 250)


@dataclass(frozen=True)
class Splash:
    """The splash at S moments, in pixels: position (S, 2), droplets (S, N, 3: x, y, radius), size and age."""

    entry: Floats
    droplets: Floats
    flying: NDArray[np.bool_]
    after: Floats
    size: float
    scale: float

    def draw(self, draw: ImageDraw.ImageDraw, k: int) -> None:
        """Draw moment ``k``: foam on the water, the column of water, and the droplets in the air."""
        age = self.after[k]
        if age <= 0:
            return
        x, y = self.entry[k].tolist()
        grown = min(1.0, age / 0.35)
        wide, high = (v * self.scale * grown for v in (0.3 + 1.1 * self.size, 0.07 + 0.2 * self.size))
        for share, alpha in ((1.0, 90), (0.7, 130)):
            box = (x - share * wide, y - share * high, x + share * wide, y + share * high)
            draw.ellipse(box, fill=(*_FOAM, round(alpha * math.exp(-0.5 * age))))
        self._column(draw, x, y, age)
        for px, py, r in self.droplets[k][self.flying[k]].tolist():
            draw.ellipse((px - r, py - r, px + r, py + r), fill=_FOAM)

    def _column(self, draw: ImageDraw.ImageDraw, x: float, y: float, age: float) -> None:
        rise = math.sin(math.pi * min(1.0, age / 0.55)) * (0.12 + 1.5 * self.size) * self.scale
        half = (0.1 + 0.3 * self.size) * self.scale
        spikes = [(x - 1.3 * half, y - 0.7 * rise), (x - 0.5 * half, y - 0.45 * rise), (x - 0.1 * half, y - rise),
                  (x + 0.4 * half, y - 0.5 * rise), (x + 1.2 * half, y - 0.8 * rise)]  # fmt: skip
        draw.polygon([(x - half, y), *spikes, (x + half, y)], fill=(*_FOAM, 190))


def splash_of(
    execution: Execution, pool: Scene, centre: Floats, after: Floats, corner: Floats, rng: np.random.Generator
) -> Splash:
    """Return a splash whose droplets rise within 0.22 s after the entry; a worse splash has more and higher ones."""
    size = 1 - execution.splash
    speed, aim, late, radius = rng.random((4, _DROPLETS))[:, : round(12 + (_DROPLETS - 12) * size)]
    up = np.sqrt(2 * 9.81 * (0.15 + 2.1 * size)) * (0.35 + 0.65 * speed)
    t = np.clip(after[:, None] - 0.22 * late, 0, None)
    x = np.interp(0, after, centre[:, 0])
    across = (aim - 0.5) * (0.12 + 0.5 * size) + (aim - 0.5) * (0.6 + 2.2 * size) * t
    where = pool.pixel(np.stack([x + across, up * t - 9.81 / 2 * t**2], -1)) - corner[:, None]
    radii = np.broadcast_to((0.018 + 0.04 * radius) * pool.scale, t.shape)
    entry = pool.pixel(np.array([x, 0.0])) - corner
    flying = (t > 0) & (up * t > 9.81 / 2 * t**2)
    return Splash(entry, np.concatenate([where, radii[..., None]], -1), flying, after, size, pool.scale)
