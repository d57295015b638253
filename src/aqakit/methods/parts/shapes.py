"""Checks of the feature shapes that a method can read."""

from aqakit.errors import OptionError
from aqakit.types import FeatureSpec


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
