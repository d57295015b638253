"""Checks of the feature shapes that a method can read."""

from typing import Annotated

from pydantic import Field
from torch import Tensor

from aqakit.errors import OptionError
from aqakit.types import FeatureSpec, Stream

DimensionsOption = Annotated[
    int | None,
    Field(gt=0, description="coordinates of a joint, if a clip has several frames; none: a clip is one frame"),
]


def vectors(features: FeatureSpec, method: str) -> list[int]:
    """Return the width D of each stream.

    Raises:
        OptionError: If the features of a stream are not one vector per clip.
    """
    wrong = [f"{name} gives {shape}" for name, shape in features.streams.items() if len(shape) != 1]
    if wrong:
        raise OptionError(f"{method} reads one vector per clip, but {', '.join(wrong)}; choose another backbone")
    return [width for (width,) in features.streams.values()]


def joints(features: FeatureSpec, method: str) -> tuple[int, int]:
    """Return the shape (J, D) of the first stream.

    Raises:
        OptionError: If its features are not one vector per joint.
    """
    if len(features.shape) != 2:
        raise OptionError(
            f"{method} reads joints (J, D), but these features have shape {features.shape}; choose a backbone of "
            "joints, such as skeleton:layout=joints or tools"
        )
    return features.shape[0], features.shape[1]


def dimensions(chosen: int | None, width: int, method: str) -> int:
    """Return the number of coordinates of a joint: the chosen one, or all values of a joint in a clip.

    Raises:
        OptionError: If the values of a joint are not several frames of so many.
    """
    if chosen is not None and width % chosen:
        raise OptionError(f"{method}: {width} values per joint are not a multiple of {chosen} dimensions")
    return chosen or width


def frames(stream: Stream, size: int) -> tuple[Tensor, Tensor]:
    """Concatenate clips (B, N, J, T C) of ``size`` coordinates C over time: (B, N T, J, C), and their mask (B, N T)."""
    x = stream.features.unflatten(3, (-1, size)).transpose(2, 3)  # (B, N, T, J, C)
    return x.flatten(1, 2), stream.clips.repeat_interleave(x.shape[2], dim=1)
