"""Pixels on their way to a network."""

import numpy as np
import pytest
import torch

from aqakit.errors import OptionError
from aqakit.recordings import transforms


@pytest.fixture
def frames():
    return torch.randint(0, 256, (2, 5, 12, 16, 3), dtype=torch.uint8)


@pytest.mark.parametrize("name", transforms.CONVENTIONS)
def test_normalise_is_the_textbook_formula(name, frames):
    mean, std, bgr = transforms.CONVENTIONS[name]
    got = transforms.normalise(frames, *transforms.CONVENTIONS[name])
    pixels = frames.numpy().astype(np.float64)[..., ::-1] if bgr else frames.numpy().astype(np.float64)
    expected = np.moveaxis((pixels / 255 - mean) / std, -1, -3)
    assert got.dtype == torch.float32
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-5, atol=2e-5)


def test_the_ranges_of_the_conventions():
    ends = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 1, 1, 3)
    for name, low, high in (("minus-one-to-one", -1, 1), ("raw-255", 0, 255), ("raw-255-bgr", 0, 255)):
        dark, bright = transforms.normalise(ends, *transforms.CONVENTIONS[name])
        assert dark.flatten().tolist() == pytest.approx([low] * 3)
        assert bright.flatten().tolist() == pytest.approx([high] * 3)


def test_normalise_refuses_pixels_that_are_not_bytes(frames):
    with pytest.raises(ValueError, match="uint8"):
        transforms.normalise(frames.float(), (0, 0, 0), (1, 1, 1))


def test_crop_takes_the_centre_of_arrays_and_tensors(frames):
    cut = transforms.crop(frames, (4, 6))
    assert torch.equal(cut, frames[:, :, 4:8, 5:11])
    np.testing.assert_array_equal(transforms.crop(frames.numpy(), (4, 6)), cut)
    assert torch.equal(transforms.crop(frames, (4, 6), (0, 10)), frames[:, :, :4, 10:])
    with pytest.raises(ValueError, match="12×16"):
        transforms.crop(frames, (13, 6))


def test_flip_is_numpys_and_its_own_inverse(frames):
    np.testing.assert_array_equal(transforms.flip(frames), frames.numpy()[..., ::-1, :])
    assert torch.equal(transforms.flip(transforms.flip(frames)), frames)


@pytest.mark.parametrize(
    ("resize", "shape", "expected"),
    [
        (256, (480, 640), (256, 341)),
        (256, (640, 480), (341, 256)),
        (100, (100, 100), (100, 100)),
        ((256, 455), (360, 640), (256, 455)),
        (256, (360, 640), (256, 455)),
    ],
)
def test_sizes(resize, shape, expected):
    assert transforms.PixelRecipe(resize).size(*shape) == expected


def test_bad_recipes_are_refused():
    for resize, crop in ((0, None), ((10, 0), None), (112, (113, 100)), ((112, 150), (100, 151))):
        with pytest.raises(OptionError, match="pixels"):
            transforms.PixelRecipe(resize, crop)


def test_chance_comes_from_the_generator_and_is_even(frames):
    def draws(seed):
        generator = torch.Generator().manual_seed(seed)
        shifts = [transforms.random_shift(3, generator) for _ in range(2100)]
        flips = [transforms.random_flip(generator) for _ in range(2100)]
        return shifts, flips, transforms.random_crop(frames, (4, 4), generator)

    shifts, flips, cut = draws(1)
    again = draws(1)
    assert (shifts, flips) == again[:2]
    assert torch.equal(cut, again[2])
    assert shifts != draws(2)[0]
    counts = np.bincount(np.array(shifts) + 3)
    assert ((counts - 300) ** 2 / 300).sum() < 22.5  # χ² with 6 degrees of freedom, p = 0.001
    assert abs(sum(flips) - 1050) < 76  # 3.3 standard deviations


def test_random_crops_reach_every_place(frames):
    generator = torch.Generator().manual_seed(0)
    places = torch.arange(12 * 16).view(12, 16, 1).expand(12, 16, 3)
    corners = {int(transforms.random_crop(places, (10, 14), generator)[0, 0, 0]) for _ in range(200)}
    assert corners == {16 * top + left for top in range(3) for left in range(3)}
