"""Render a dive to video: figure, pool, splash, a camera that follows, motion blur, and MP4 encoding.

During the flight a frame is the mean of two moments within one exposure, for motion blur. Before and after the flight,
when little moves, it is a single moment. Each moment is drawn at twice the size and reduced, for anti-aliasing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from PIL import Image, ImageDraw

from aqakit.datasets.parts.dives import motion as motion
from aqakit.datasets.parts.dives.catalogue import Element, element
from aqakit.datasets.parts.dives.execution import Execution
from aqakit.datasets.parts.dives.motion import FPS, J
from aqakit.datasets.parts.dives.scene import BOTTOM, LEFT, RIGHT, TOP, Colour, Look, Scene, diver_look, scene, shade
from aqakit.datasets.parts.dives.splash import Splash, splash_of
from aqakit.system.files import atomic_path

if TYPE_CHECKING:
    from aqakit.types import Floats  # loads torch

_EXPOSURE = 0.6  # time between the two moments of a frame, as a fraction of the frame interval
_CORNERS = 7  # points on the round end of a limb


@dataclass(frozen=True)
class Dive:
    """Everything needed to draw a dive: dive number, execution, event, and a seed for everything else."""

    number: str
    execution: Execution
    event: int
    seed: tuple[int, int]

    @property
    def element(self) -> Element:
        """The parsed dive number."""
        return element(self.number)

    def rng(self, purpose: int) -> np.random.Generator:
        """Return an independent generator for each purpose, the same for every execution."""
        return np.random.default_rng([*self.seed, purpose])

    @property
    def timing(self) -> motion.Timing:
        """Times of take-off and of touching the water, and the number of frames."""
        return motion.timing(self.element, self.execution, self.rng(2))

    @property
    def boundaries(self) -> tuple[float, float]:
        """Where take-off, flight and entry meet, as shares of the dive; the entry begins with the body open."""
        when = self.timing
        opened = when.takeoff + motion.OPEN * (when.touch - when.takeoff)
        return when.takeoff * motion.FPS / when.frames, opened * motion.FPS / when.frames


# Parts of the figure: two joints and the radius at each in metres.
_LIMBS = tuple(
    (f"{side}_{a}", f"{side}_{b}", r, s)
    for side in ("left", "right")
    for a, b, r, s in (
        ("shoulder", "elbow", 0.055, 0.042), ("elbow", "wrist", 0.045, 0.034),
        ("hip", "knee", 0.092, 0.062), ("knee", "ankle", 0.062, 0.042), ("ankle", "toe", 0.042, 0.026),
    )
)  # fmt: skip
_TRUNK = (
    ("neck", "pelvis", 0.085, 0.08), ("neck", "pelvis", 0.085, 0.08), ("left_hip", "right_hip", 0.104, 0.104),
    ("neck", "head", 0.05, 0.06), ("head", "head", 0.115, 0.115), ("head", "head", 0.108, 0.108),
)  # fmt: skip
_CAPSULES = (*_LIMBS, *_TRUNK)
_CHEST, _BACK, _HIPS, _NECK, _FACE, _HAIR = range(len(_LIMBS), len(_CAPSULES))


@dataclass(frozen=True)
class Figure:
    """Outlines (S, P, 2 × corners) of P parts in pixels, and their drawing order (S, P) from back to front."""

    outlines: Floats
    order: np.ndarray


def frames(dive: Dive, size: int) -> tuple[Iterator[Image.Image], Floats]:
    """Return the images of a dive, ``size`` × ``size`` RGB, and the joints (T, 17, 2) in their pixels."""
    when = dive.timing
    starts = np.arange(when.frames) / FPS
    flying = (starts >= when.takeoff) & (starts < when.touch)
    moments = np.stack([starts, starts + flying * _EXPOSURE / FPS], -1).ravel()
    body = motion.motion(dive.element, dive.execution, when, moments, dive.rng(3))
    pool = scene(dive.event, dive.seed[0], size)
    corner = _camera(dive, pool, body.centre, size)
    joints = (pool.pixel(body.joints[..., :2]) - corner[:, None]) / 2
    splash = splash_of(dive.execution, pool, body.centre, moments - when.touch, corner, dive.rng(6))
    paint = _colours(diver_look(dive.rng(5), pool.light))
    shot = _Shot(pool, _figure(body, pool, corner), paint, splash, corner, 2 * size)
    return _draw(shot, moments), joints.reshape(when.frames, 2, len(motion.JOINTS), 2).mean(1).astype(np.float32)


def _camera(dive: Dive, pool: Scene, centre: Floats, size: int) -> Floats:
    """Return the upper left corner (S, 2) of the view: it lags, shakes, and stays at the surface at the end."""
    rng = dive.rng(4)
    target = np.stack([0.6 * centre[:, 0] + 0.55, np.maximum(centre[:, 1], 0.55)], -1)
    lag = 5
    padded = np.concatenate([np.repeat(target[:1], lag, 0), target])
    late = np.stack([padded[k : k + len(target)] for k in range(lag + 1)]).mean(0)
    shake = rng.normal(size=(len(target) // 8 + 2, 2)) * 0.035 + rng.normal(size=2) * 0.1
    at = np.arange(len(target)) / 8
    late = late + np.stack([np.interp(at, np.arange(len(shake)), shake[:, axis]) for axis in (0, 1)], -1)
    corner = pool.pixel(late) - size
    limit = np.array([RIGHT - LEFT, TOP - BOTTOM]) * pool.scale - 2 * size
    return np.asarray(np.clip(np.round(corner), 0, np.floor(limit)))


@dataclass(frozen=True)
class _Shot:
    """Everything in the image, at S moments."""

    pool: Scene
    figure: Figure
    paint: list[Colour]
    splash: Splash
    corner: Floats
    side: int  # size of the image before it is reduced

    def picture(self, k: int) -> Image.Image:
        """Draw moment ``k`` at twice the final size."""
        picture = self._behind(k, (0, 0, self.side, self.side))
        draw = ImageDraw.Draw(picture)
        for part in self.figure.order[k].tolist():
            draw.polygon(self.figure.outlines[k, part].tolist(), fill=self.paint[part])
        surface = round(float(self.splash.entry[k, 1]))
        if surface < self.side:
            self._submerge(picture, k, surface)
            self.splash.draw(ImageDraw.Draw(picture, "RGBA"), k)
        return picture

    def _behind(self, k: int, box: tuple[int, int, int, int]) -> Image.Image:
        left, top = self.corner[k].astype(int).tolist()
        return self.pool.backdrop.crop((left + box[0], top + box[1], left + box[2], top + box[3]))

    def _submerge(self, picture: Image.Image, k: int, surface: int) -> None:
        """Blend the part of the figure below the surface with the backdrop, so that the water covers it."""
        x, y = self.figure.outlines[k, :, ::2], self.figure.outlines[k, :, 1::2]
        left, right = np.clip([x.min(), x.max() + 1], 0, self.side).astype(int).tolist()
        top, low = np.clip([max(surface, y.min()), y.max() + 1], 0, self.side).astype(int).tolist()
        if left < right and top < low:
            box = (left, top, right, low)
            picture.paste(Image.blend(picture.crop(box), self._behind(k, box), 0.68), box)


def _draw(shot: _Shot, moments: Floats) -> Iterator[Image.Image]:
    """Yield one image for every two moments, which are equal if there is no motion blur."""
    for k in range(0, len(moments), 2):
        picture = shot.picture(k)
        if moments[k + 1] > moments[k]:
            picture = Image.blend(picture, shot.picture(k + 1), 0.5)
        yield picture.reduce(2)


def _colours(look: Look) -> list[Colour]:
    near = [look.skin] * 5
    far = [shade(look.skin, 0.82)] * 5
    return [*near, *far, look.front, look.back, look.trunks, look.skin, look.skin, look.hair]


def _figure(body: motion.Motion, pool: Scene, corner: Floats) -> Figure:
    a = body.joints[:, [J[start] for start, _, _, _ in _CAPSULES]]
    b = body.joints[:, [J[end] for _, end, _, _ in _CAPSULES]]
    radii = np.tile([capsule[2:] for capsule in _CAPSULES], (len(a), 1, 1))
    broad = np.abs(body.front[:, 2])  # the chest is broader than deep
    for part, shift in ((_CHEST, 0.045), (_BACK, -0.045), (_HAIR, -0.04)):
        a[:, part] += shift * body.front
        b[:, part] += shift * body.front
    for part in (_CHEST, _BACK):
        radii[:, part] += broad[:, None] * (0.075, 0.03)
    outlines = _outline(pool.pixel(a[..., :2]), pool.pixel(b[..., :2]), radii * pool.scale)
    outlines -= corner[:, None, None]
    depth = (a[..., 2] + b[..., 2]) / 2
    depth[:, _HIPS] += 0.1  # trunks are drawn over the nearer thigh
    return Figure(outlines.reshape(*outlines.shape[:2], -1), np.argsort(depth, 1))


def _outline(a: Floats, b: Floats, radii: Floats) -> Floats:
    """Return points (S, P, 14, 2) of tapered limbs with round ends from ``a`` to ``b`` (S, P, 2); radii (S, P, 2)."""
    along = b - a
    heading = np.arctan2(along[..., 1], along[..., 0])[..., None]
    turn = np.linspace(-math.pi / 2, math.pi / 2, _CORNERS)
    ends = []
    for centre, radius, angles in (
        (b, radii[..., 1], heading + turn),
        (a, radii[..., 0], heading + turn + math.pi),
    ):
        circle = np.stack([np.cos(angles), np.sin(angles)], -1)
        ends.append(centre[..., None, :] + radius[..., None, None] * circle)
    return np.concatenate(ends, -2)


def encode(pictures: Iterable[Image.Image], path: Path, size: int) -> None:
    """Write images to MP4 at 30 frames per second, atomically; H.264 if FFmpeg supports it, else MPEG-4."""
    h264 = "libx264" in av.codecs_available
    options = {"preset": "ultrafast", "crf": "20"} if h264 else {"qscale": "3"}
    with atomic_path(path) as temporary, av.open(temporary, "w", format="mp4") as container:
        stream = container.add_stream("libx264" if h264 else "mpeg4", rate=FPS, options=options)
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode())
