"""From the numbers of the detector to candidates: bodies with a region and a confidence."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aqakit.backbones.parts.blazepose.regions import Array, Region

SIZE = 224
"""Pixels of a side of the picture that the detector sees."""

_GRIDS = ((8, 2), (16, 2), (32, 6))
"""Pixels between cells, and boxes of each."""

SAME = 0.3
"""Intersection over union, from which on two boxes are of one body."""


class Candidate(NamedTuple):
    """A body that may be there: its region, and the confidence in [0, 1]."""

    region: Region
    confidence: float


@cache
def anchors() -> NDArray[np.float32]:
    """(2254, 2) x and y of the cells' centres, in shares of the picture, in the order of the detector's rows."""
    found = []
    for stride, boxes in _GRIDS:
        side = (np.arange(SIZE // stride) + 0.5) * stride / SIZE
        cells = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
        found.append(np.repeat(cells, boxes, 0))
    return np.concatenate(found).astype(np.float32)


def candidates(rows: Array, logits: Array, least: float) -> list[Candidate]:
    """Return the bodies of one picture, most confident first, in pixels of the detector's square.

    Args:
        rows: (2254, 12) box and four points of each anchor.
        logits: (2254,) their confidence.
        least: confidence below which a body is left out.
    """
    confidence = 1 / (1 + np.exp(-np.clip(logits, -50, 50)))
    order = np.argsort(-confidence, kind="stable")
    order = order[confidence[order] >= least]
    boxes, points = _boxes(rows, order), _points(rows, order)
    left = np.ones(len(order), bool)
    found = []
    for first in range(len(order)):
        if left[first]:
            same = left & (_overlap(boxes[first], boxes) >= SAME)
            same[first] = True  # of a box without extent too
            left &= ~same
            region = _together(points[same], confidence[order[same]])
            if region.is_usable:
                found.append(Candidate(region, float(confidence[order[first]])))
    return found


def _boxes(rows: Array, order: NDArray[np.intp]) -> Array:
    """(n, 4) left, upper, right, lower."""
    middle, half = rows[order, :2] + anchors()[order] * SIZE, np.abs(rows[order, 2:4]) / 2
    return np.concatenate([middle - half, middle + half], 1)


def _points(rows: Array, order: NDArray[np.intp]) -> Array:
    """(n, 2, 2) middle of the hips, and the point that tells size and turn."""
    return rows[order, 4:8].reshape(-1, 2, 2) + anchors()[order, None] * SIZE


def _overlap(box: Array, boxes: Array) -> Array:
    """Intersection over union of one box with each of many."""
    common = np.clip(np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2]), 0, None).prod(1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return common / np.maximum((box[2:] - box[:2]).prod() + areas - common, 1e-9)


def _together(points: Array, weights: NDArray[np.floating]) -> Region:
    """Return the region of the weighted mean of the points of boxes of one body."""
    middle, top = np.average(points, 0, weights)
    return Region.of_guides(middle, top)
