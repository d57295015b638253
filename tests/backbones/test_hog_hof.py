"""Histograms of edges and motion: against NumPy and SciPy, and on patterns whose edges and motion are known."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage

from aqakit.backbones import hog_hof
from aqakit.backbones.hog_hof import directed, flow, gradient, smooth
from aqakit.errors import OptionError

SIZE = 48
WAYS = {"right": (1.0, 0.0), "down": (0.0, 1.0), "left": (-1.0, 0.0), "up": (0.0, -1.0)}


def pattern(dx: float, dy: float, frames: int = 6) -> np.ndarray:
    """(T, H, W) smooth bumps that move by (dx, dy) pixels a frame."""
    t, y, x = np.mgrid[:frames, :SIZE, :SIZE]
    x, y = x - dx * t, y - dy * t
    return np.sin(x / 3) * np.cos(y / 4) + np.cos((x + y) / 5)


def coloured(grey: np.ndarray) -> torch.Tensor:
    """(T, H, W) in [-2, 2] → one clip (1, T, H, W, 3) uint8."""
    pixels = np.clip((grey + 2) / 4 * 255, 0, 255).round().astype(np.uint8)
    return torch.from_numpy(np.repeat(pixels[None, ..., None], 3, axis=-1))


def test_smoothing_and_gradient_are_those_of_scipy_and_numpy() -> None:
    x = np.random.default_rng(0).random((2, 3, 9, 11))
    smoothed = x
    for axis in (-1, -2):
        smoothed = ndimage.convolve1d(smoothed, [0.25, 0.5, 0.25], axis=axis, mode="nearest")
    torch.testing.assert_close(smooth(torch.from_numpy(x)), torch.from_numpy(smoothed))
    found = gradient(torch.from_numpy(x))
    for one, expected in zip(found, (np.gradient(x, axis=-1), np.gradient(x, axis=-2))):
        torch.testing.assert_close(one, torch.from_numpy(expected))


@pytest.mark.parametrize(("dx", "dy"), [(0.0, 0.0), (0.7, 0.0), (0.0, -0.5), (-0.6, 0.4), (1.2, 0.8)])
def test_the_flow_of_a_moving_pattern_is_its_motion(dx: float, dy: float) -> None:
    u, v = flow(torch.from_numpy(pattern(dx, dy))[None])
    inside = (..., slice(4, -4), slice(4, -4))
    assert u[inside].median().item() == pytest.approx(dx, abs=0.06)
    assert v[inside].median().item() == pytest.approx(dy, abs=0.06)


def test_flow_is_least_squares_in_a_square() -> None:
    frames = torch.rand(1, 2, 15, 15, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    u, v = flow(frames)
    x, y = (one[0, 0] for one in gradient((frames[:, 1:] + frames[:, :-1]) / 2))
    t = frames.diff(dim=1)[0, 0]
    around = (slice(5, 10), slice(5, 10))
    A = np.stack([x[around].ravel(), y[around].ravel()], 1)
    ridge = np.sqrt(2e-5 * 25) * np.eye(2)
    expected, *_ = np.linalg.lstsq(np.vstack([A, ridge]), np.append(-t[around].ravel(), [0, 0]), rcond=None)
    assert [u[0, 0, 7, 7].item(), v[0, 0, 7, 7].item()] == pytest.approx(expected)


@pytest.mark.parametrize("turn", [np.pi, 2 * np.pi])
def test_a_vector_is_shared_by_the_two_nearest_directions(turn: float) -> None:
    angle = torch.tensor(np.random.default_rng(1).uniform(-np.pi, np.pi, 500)).view(1, 1, 1, -1)
    bins = directed(3 * angle.cos(), 3 * angle.sin(), turn=turn)
    torch.testing.assert_close(bins.sum(1), torch.full_like(angle, 3.0))
    assert ((bins > 0).sum(1) <= 2).all()
    middle = directed(torch.full((1, 1, 1, 1), np.cos(turn / 8)), torch.full((1, 1, 1, 1), np.sin(turn / 8)), turn=turn)
    torch.testing.assert_close(middle.flatten(), torch.tensor([0.5, 0.5, 0, 0]), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("number", "way"), list(enumerate(WAYS)))
def test_motion_is_in_the_bin_of_its_direction(number: int, way: str) -> None:
    dx, dy = WAYS[way]
    features = hog_hof.build(size=SIZE).forward(coloured(pattern(dx, dy))).view(2, 3, 3, 9).square()
    ways = features[..., 4:8].mean((0, 1, 2))
    assert ways.argmax() == number
    assert ways[number].item() == pytest.approx(1 / SIZE, rel=0.15)  # a pixel a frame
    assert features[..., 8].mean() < 0.2


def test_what_stands_still_has_edges_and_no_motion() -> None:
    ramp = np.tile(np.linspace(-2, 2, SIZE), (6, SIZE, 1))
    features = hog_hof.build(size=SIZE).forward(coloured(ramp)).view(2, 3, 3, 9)
    edges, ways, still = features.split([4, 4, 1], dim=-1)
    assert edges[..., 0].square().mean().item() == pytest.approx(1 / (SIZE - 1), rel=0.05)
    assert not edges[..., 1:].any()
    assert not ways.any()
    assert still.min() == 1


def test_a_mirrored_clip_has_mirrored_cells_and_directions() -> None:
    backbone = hog_hof.build(size=SIZE)
    clip = coloured(pattern(0.6, 0.3))
    one, other = (backbone.forward(c).view(2, 3, 3, 9) for c in (clip, backbone.mirror(clip)))
    swapped = [0, 3, 2, 1, 6, 5, 4, 7, 8]  # a rising edge falls; right is left
    torch.testing.assert_close(other, one.flip(2)[..., swapped], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"plan": "segments/count=5"}, "at least 2 frames"),
        ({"plan": "sliding/frames=4/step=4", "parts": 4}, "at most 3 parts"),
        ({"size": 16, "cells": 17}, "at most 16 cells"),
    ],
)
def test_cells_without_content_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(OptionError, match=told):
        hog_hof.build(**options)


def test_the_smallest_cells_differ() -> None:
    clip = torch.from_numpy(np.random.default_rng(2).integers(0, 256, (1, 4, 16, 16, 3), dtype=np.uint8))
    features = hog_hof.build(plan="sliding/frames=4/step=4", size=16, cells=16, parts=3).forward(clip)
    assert len(features.view(-1, 9).unique(dim=0)) == 3 * 16 * 16
