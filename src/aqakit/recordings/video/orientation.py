"""The eight orientations of a picture: display matrices of video tracks, and EXIF's numbers 1 to 8."""

from __future__ import annotations

import struct
from typing import Any, NamedTuple, cast

import numpy as np
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame
from numpy.typing import NDArray


class Orientation(NamedTuple):
    """How a stored frame is shown: rotated anticlockwise by quarter turns, then, if ``mirrored``, left to right.

    >>> Orientation.of_matrix(0, 1, -1, 0), Orientation.of_matrix(-1, 0, 0, 1)
    (Orientation(quarters=3, mirrored=False), Orientation(quarters=0, mirrored=True))
    """

    quarters: int
    mirrored: bool

    @classmethod
    def of_frame(cls, frame: VideoFrame) -> Orientation:
        """Return the orientation that the file gives its frame, by track header, EXIF or bit stream."""
        kinds: Any = frame.side_data  # a mapping by Type, declared as one by str
        matrix = kinds.get(Type.DISPLAYMATRIX)
        if matrix is None:
            return UPRIGHT
        a, b, _, c, d, *_ = struct.unpack("=9i", bytes(matrix))
        return cls.of_matrix(a, b, c, d)

    @classmethod
    def of_matrix(cls, a: float, b: float, c: float, d: float) -> Orientation:
        """Return the orientation nearest to a matrix that shows the pixel (x, y) at (a x + c y, b x + d y)."""
        transposed = abs(b) + abs(c) > abs(a) + abs(d)
        leftwards, upwards = (c < 0, b < 0) if transposed else (a < 0, d < 0)
        if transposed:
            return cls(1 if upwards else 3, leftwards == upwards)
        return cls(2 if upwards else 0, leftwards != upwards)

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Return the upright size of a stored frame, or the stored size of an upright one."""
        return (width, height) if self.quarters % 2 else (height, width)

    def apply(self, image: NDArray[Any]) -> NDArray[Any]:
        """Return a stored image (H, W, C) as it is shown."""
        turned = np.rot90(image, self.quarters)
        return turned[:, ::-1] if self.mirrored else turned


UPRIGHT = Orientation(0, False)


def _unknown_type(cls: type[Type], value: int) -> Type:
    member: Any = object.__new__(cls)
    member._name_, member._value_ = f"UNKNOWN_{value}", value
    return cast(Type, member)


# PyAV 18 refuses to list the side data of a frame if one is of a kind newer than its enumeration, such as EXIF's.
Type._missing_ = classmethod(_unknown_type)  # type: ignore[assignment]
