"""Pixels on their way to a network."""

import numpy as np
import pytest
import torch
from PIL import Image

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


def test_torchvisions_centre_is_rounded_to_even():
    """CenterCrop takes int(round((height − crop) / 2)), and Python rounds halves to even numbers."""
    for have in range(224, 290):
        assert transforms.corner((have, 455), (224, 224), "torchvision") == (int(np.rint((have - 224) / 2)), 116)
        assert transforms.corner((have, 455), (224, 224)) == ((have - 224) // 2, 115)
    image = np.arange(227 * 455 * 3, dtype=np.uint32).astype(np.uint8).reshape(227, 455, 3)
    cut = transforms.PixelRecipe(None, (224, 224), centre="torchvision").finish(image)
    np.testing.assert_array_equal(cut, image[2:226, 116:340])


@pytest.mark.parametrize("filter_", ["bilinear", "bicubic"])
def test_a_squeezed_crop_is_pils(filter_):
    """As ACTION-NET: 224 pixels high, the middle 300 columns, squeezed to a square."""
    noise = np.random.default_rng(0).integers(0, 256, (14, 25, 3), np.uint8)
    image = np.asarray(Image.fromarray(noise).resize((398, 224), Image.Resampling.BICUBIC))
    recipe = transforms.PixelRecipe(224, (224, 300), filter_, "torchvision", (224, 224))
    assert recipe.size(720, 1280) == (224, 398)
    assert recipe.shape == (224, 224)
    wanted = Image.fromarray(image[:, 49:349]).resize((224, 224), Image.Resampling[filter_.upper()])
    found = recipe.finish(image)
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - np.asarray(wanted).astype(int)).max() <= 1
    plain = {"resize": 224, "crop": (224, 300), "interpolation": filter_}
    assert recipe.fingerprint() == plain | {"centre": "torchvision", "squeeze": (224, 224)}
    assert (
        transforms.PixelRecipe(224, (224, 300), filter_).fingerprint() == plain
    )  # pixels of earlier versions are found


def test_mirrored_flow_turns_its_horizontal_motion_round(frames):
    """A scene that moves right looks, in a mirror, as if it moved left; up and down stay."""
    encode = lambda v: np.rint((v + 20) / 40 * 255).astype(np.uint8)  # noqa: E731
    x, y = np.random.default_rng(0).uniform(-20, 20, (2, 3, 4, 5))
    flow = np.stack([encode(x), encode(y), np.zeros_like(encode(x))], -1)
    wanted = np.stack([255 - encode(x), encode(y), np.zeros_like(encode(x))], -1)[..., ::-1, :]
    given = torch.from_numpy(flow)
    found = transforms.flip_flow(given).numpy()
    np.testing.assert_array_equal(found, wanted)
    decoded = found[..., 0] / 255 * 40 - 20
    assert np.abs(decoded - -x[..., ::-1]).max() < 0.1
    np.testing.assert_array_equal(given.numpy(), flow)
    np.testing.assert_array_equal(transforms.flip_flow(torch.from_numpy(found)).numpy(), flow)


def test_shifts_may_be_a_range():
    generator = torch.Generator().manual_seed(0)
    drawn = transforms.random_shifts((0, 6), 2100, generator)
    counts = np.bincount(drawn)
    assert len(counts) == 7
    assert ((counts - 300) ** 2 / 300).sum() < 22.5  # χ² with 6 degrees of freedom, p = 0.001
    one, two = (torch.Generator().manual_seed(1) for _ in range(2))
    assert transforms.random_shifts(3, 50, one) == transforms.random_shifts((-3, 3), 50, two)


def test_bad_recipes_are_refused():
    for resize, crop in ((0, None), ((10, 0), None), (112, (113, 113)), ((112, 150), (100, 151)), (None, (0, 3))):
        with pytest.raises(OptionError, match="pixels"):
            transforms.PixelRecipe(resize, crop)


def test_chance_comes_from_the_generator_and_is_even(frames):
    def draws(seed):
        generator = torch.Generator().manual_seed(seed)
        shifts = transforms.random_shifts(3, 2100, generator)
        flips = transforms.random_flips(2100, generator)
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
