"""Eight orientations, by display matrices and by EXIF: the oracles are FFmpeg, Pillow, and the definition."""

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from aqakit.recordings import video
from aqakit.recordings.video.orientation import Orientation
from tests import hostile
from tests.ffmpeg import needs_ffmpeg, pictures

MATRICES = {
    "upright": (1, 0, 0, 1),
    "mirrored": (-1, 0, 0, 1),
    "turned by 180": (-1, 0, 0, -1),
    "upside down": (1, 0, 0, -1),
    "transposed": (0, 1, 1, 0),
    "turned by 90": (0, 1, -1, 0),
    "transverse": (0, -1, -1, 0),
    "turned by 270": (0, -1, 1, 0),
}
HEIGHT, WIDTH = 48, 64
COLOURS = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]], np.uint8)
STORED = COLOURS.repeat(HEIGHT // 2, 0).repeat(WIDTH // 2, 1)


def shown(matrix: tuple[int, int, int, int]) -> np.ndarray:
    """By definition, the pixel (x, y) is shown at (a x + c y, b x + d y), moved so that the picture begins at 0."""
    a, b, c, d = matrix
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    right, down = a * x + c * y, b * x + d * y
    right, down = right - right.min(), down - down.min()
    out = np.zeros((down.max() + 1, right.max() + 1, 3), np.uint8)
    out[down, right] = STORED
    return out


def corners(image: np.ndarray) -> list[list[bool]]:
    """Which colours are on, in the middle of each quarter."""
    height, width = image.shape[:2]
    return [(image[y, x] > 127).tolist() for y in (height // 4, 3 * height // 4) for x in (width // 4, 3 * width // 4)]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hostile.write_video(tmp_path_factory.mktemp("plain") / "plain.mp4", 2, show=lambda _: STORED)


def with_matrix(plain: Path, path: Path, matrix: tuple[int, int, int, int]) -> Path:
    data = bytearray(plain.read_bytes())
    place = data.index(b"tkhd") + 4 + 40
    a, b, c, d = (one << 16 for one in matrix)
    data[place : place + 20] = struct.pack(">5i", a, b, 0, c, d)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", MATRICES)
def test_display_matrices_are_applied_as_they_are_defined(name: str, plain: Path, tmp_path: Path) -> None:
    path, expected = with_matrix(plain, tmp_path / "v.mp4", MATRICES[name]), shown(MATRICES[name])
    info, image = video.probe(path), video.frames(path, [0])[0]
    assert image.shape == expected.shape == (info.height, info.width, 3)
    assert corners(image) == corners(expected)
    assert corners(video.frames(path, [0], size=(24, 40))[0]) == corners(expected)
    turned = np.rot90(STORED, info.rotation // 90)
    assert np.array_equal(turned[:, ::-1] if info.mirrored else turned, expected)


@needs_ffmpeg
@pytest.mark.parametrize("name", MATRICES)
def test_display_matrices_are_those_of_ffmpeg(name: str, plain: Path, tmp_path: Path) -> None:
    path = with_matrix(plain, tmp_path / "v.mp4", MATRICES[name])
    (theirs, *_), ours = pictures(path), video.frames(path, [0])[0]
    assert theirs.shape == ours.shape
    assert corners(theirs) == corners(ours)


@pytest.mark.parametrize("ending", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("number", range(1, 9))
def test_exif_is_applied_as_pillow_applies_it(ending: str, number: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = number
    Image.fromarray(STORED).save(tmp_path / f"frame_1{ending}", exif=exif)
    with Image.open(tmp_path / f"frame_1{ending}") as picture:
        expected = np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
    image = video.frames(tmp_path, [0])[0]
    assert image.shape == expected.shape
    assert corners(image) == corners(expected)
    assert (video.probe(tmp_path).height, video.probe(tmp_path).width) == expected.shape[:2]


def test_a_small_tilt_is_the_nearest_of_the_eight() -> None:
    cos, sin = np.cos(0.1), np.sin(0.1)
    assert Orientation.of_matrix(cos, sin, -sin, cos) == Orientation(0, False)
    assert Orientation.of_matrix(-sin, cos, -cos, -sin) == Orientation(3, False)
    assert Orientation.of_matrix(-cos, sin, sin, cos) == Orientation(0, True)
