"""Which features a method can read, said in a sentence where they are others."""

from aqakit.errors import OptionError
from aqakit.types import FeatureSpec


def vectors(features: FeatureSpec, method: str) -> list[int]:
    """D of each stream.

    Raises:
        OptionError: the features of a stream are not one vector per clip.
    """
    wrong = [f"{name} gives {shape}" for name, shape in features.streams.items() if len(shape) != 1]
    if wrong:
        raise OptionError(f"{method} reads one vector per clip, and {', '.join(wrong)}; choose another backbone")
    return [width for (width,) in features.streams.values()]


def joints(features: FeatureSpec, method: str) -> tuple[int, int]:
    """(J, D) of the first stream.

    Raises:
        OptionError: its features are not one vector for each joint.
    """
    if len(features.shape) != 2:
        raise OptionError(
            f"{method} reads joints (J, D), and these features have shape {features.shape}; give it a backbone of "
            "joints, such as skeleton:layout=joints or tools"
        )
    return features.shape[0], features.shape[1]
