"""What pixels look like, against Pillow and NumPy."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from aqakit.features.appearance import appearance


def draw(seed=0, frames=6, size=32):
    return torch.randint(0, 256, (1, frames, size, size, 3), dtype=torch.uint8, generator=torch.manual_seed(seed))


def size_of(values):
    return math.log(np.sqrt(np.square(values).mean()) + 1e-3)


def test_octaves_are_what_pillow_loses_when_it_halves_a_picture():
    clip = draw()
    found = appearance(clip)[0].tolist()
    level = clip[0].double().numpy().mean(-1) / 255
    for octave in range(4):
        half = np.stack([np.asarray(Image.fromarray(frame.astype("float32")).reduce(2)) for frame in level])
        detail = level - half.repeat(2, 1).repeat(2, 2)
        assert found[5 + 2 * octave] == pytest.approx(size_of(detail), abs=1e-4)
        assert found[6 + 2 * octave] == pytest.approx(size_of(np.diff(detail, axis=0)), abs=1e-4)
        level = half
    assert found[13] == pytest.approx(size_of(level - level.mean((1, 2), keepdims=True)), abs=1e-4)


def test_colours_and_changes_are_those_of_numpy():
    clip = draw(1)
    found = appearance(clip)[0].tolist()
    colour = clip[0].double().numpy() / 255
    assert found[:3] == pytest.approx(colour.mean((0, 1, 2)), abs=1e-6)
    assert found[3:5] == pytest.approx(np.log(np.diff(colour).std((0, 1, 2)) + 1e-3), abs=1e-5)
    bright = colour.mean(-1)
    assert found[14:17] == pytest.approx([size_of(bright[k:] - bright[:-k]) for k in (1, 2, 4)], abs=1e-5)
    assert found[17] == pytest.approx(math.log(bright.mean((1, 2)).std() + 1e-3), abs=1e-5)


def test_a_mirror_and_backwards_change_nothing_and_the_order_of_frames_changes_what_moves():
    clip = draw(2)
    for same in (clip.flip(3), clip.flip(2), clip.flip(1)):
        torch.testing.assert_close(appearance(same), appearance(clip))
    smooth = clip.clone()
    for k in range(1, 6):
        smooth[:, k] = clip[:, 0] // 2 + 10 * k
    still, moving = appearance(smooth)[0], appearance(smooth[:, [0, 3, 1, 5, 2, 4]])[0]
    assert (moving - still).abs().nonzero().flatten().tolist() != []
    torch.testing.assert_close(moving[:6], still[:6])
    assert moving[14] != pytest.approx(float(still[14]), abs=1e-3)


@pytest.mark.parametrize("shape", [(1, 1, 16, 16, 3), (2, 3, 17, 23, 3), (1, 2, 2, 2, 3)])
def test_one_frame_odd_sizes_and_tiny_ones_have_an_appearance(shape):
    found = appearance(torch.full(shape, 128, dtype=torch.uint8))
    assert found.shape == (shape[0], 18)
    torch.testing.assert_close(found[:, 3:], torch.full((shape[0], 15), math.log(1e-3)), atol=1e-3, rtol=0)
