"""Platform dives by dive number: movements, degree of difficulty and rarity.

The numbers are those of the sport: ``107B`` is forward, three and a half somersaults, pike; ``5253B`` is a twisting
dive, back, two and a half somersaults, one and a half twists, pike; ``626C`` is an armstand, back, three somersaults,
tuck.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

POSITIONS = ("free", "pike", "tuck", "straight")
"""Attribute ``position``; the first three have the codes of MTL-AQA, which has no straight dive."""
ROTATIONS = ("back", "forward", "inward", "reverse")
"""Attribute ``rotation_type``, with MTL-AQA's codes."""

_LETTERS = {"A": "straight", "B": "pike", "C": "tuck", "D": "free"}
_DIRECTIONS = {"1": "forward", "2": "back", "3": "reverse", "4": "inward"}

# The platform dives of the data set, by frequency: the dives of each row are half as frequent as those before.
_CHOSEN = (
    "107B 407C 207C 307C 5253B 6243D 205B 305C 405B 103B 403B 203B 612B 101B",
    "105B 107C 5255B 626C 5154B 305B 405C 5152B 303C 5132D 403C 201B 301B 401B 103C 402C",
    "101A 201A 203A 104C 204C 109C 207B 407B 5231D 5233D 5251B 6241D 614C 5353B 626B 6245D 5156B",
    "100A 301A 103A 303A 5138D 5136D 5235D 5237D 5335D 5337D 5355B 5434D 409C 636C 6142D",
)
WEIGHTS = {number: 2.0**-row for row, numbers in enumerate(_CHOSEN) for number in numbers.split()}
"""How often each dive is chosen, relative to the most common ones."""


@dataclass(frozen=True)
class Element:
    """The meaning of a dive number.

    Attributes:
        number: the dive number, such as ``5253B``.
        position: one of :data:`POSITIONS`.
        rotation: one of :data:`ROTATIONS`.
        armstand: whether the dive starts from a handstand.
        somersaults: in halves, 0 to 9.
        twists: in halves, 0 to 8.
    """

    number: str
    position: str
    rotation: str
    armstand: bool
    somersaults: int
    twists: int

    @property
    def headfirst(self) -> bool:
        """Whether the diver enters the water head first."""
        return (self.somersaults + self.armstand) % 2 == 1

    @property
    def facing(self) -> float:
        """1 if the diver faces the water at the start, −1 if the platform."""
        return 1.0 if self.rotation in ("forward", "reverse") else -1.0

    @property
    def turning(self) -> float:
        """1 if the head first turns towards the water, −1 if towards the platform."""
        return 1.0 if self.rotation in ("forward", "back") else -1.0

    @property
    def steps(self) -> tuple[str, ...]:
        """What is declared, in order: the take-off, twists, somersaults with their position, and the entry."""
        start = f"armstand {self.rotation}" if self.armstand else self.rotation
        twists = (f"{self.twists / 2:g} twists",) if self.twists else ()
        return (start, *twists, f"{self.somersaults / 2:g} somersaults {self.position}",
                "entry head first" if self.headfirst else "entry feet first")  # fmt: skip

    @property
    def attributes(self) -> dict[str, int]:
        """Class indices, coded as in MTL-AQA; somersaults and twists are counted in halves."""
        return {
            "position": POSITIONS.index(self.position),
            "armstand": int(self.armstand),
            "rotation_type": ROTATIONS.index(self.rotation),
            "somersaults": self.somersaults,
            "twists": self.twists,
        }


ATTRIBUTES = {"position": 4, "armstand": 2, "rotation_type": 4, "somersaults": 10, "twists": 9}
"""Number of classes of each attribute."""


@cache
def element(number: str) -> Element:
    """Parse a dive number.

    >>> element("5253B")
    Element(number='5253B', position='pike', rotation='back', armstand=False, somersaults=5, twists=3)
    """
    group, digits, letter = number[0], number[1:-1], number[-1]
    if group in "56":  # direction, half somersaults and, in twisting dives, half twists
        direction, somersaults, twists = digits[0], digits[1], digits[2:] or "0"
    else:  # the middle digit marks a flying dive; there is none here
        direction, somersaults, twists = group, digits[1], "0"
    return Element(number, _LETTERS[letter], _DIRECTIONS[direction], group == "6", int(somersaults), int(twists))


# Component A of the difficulty on the 10 m platform, by half somersaults.
_A_SOMERSAULTS = (1.0, 1.3, 1.4, 1.5, 1.9, 2.1, 2.5, 2.7, 3.1, 3.5)
# Component B, flight position, by (minimum half somersaults, position): forward, back, reverse, inward, armstand.
_B_POSITION = {
    (0, "tuck"): (0.1, 0.1, 0.1, -0.3, 0.1),
    (0, "pike"): (0.2, 0.2, 0.2, -0.2, 0.3),
    (0, "straight"): (0.3, 0.3, 0.3, 0.1, 0.4),
    (0, "free"): (0.1, 0.1, 0.1, -0.1, 0.0),
    (3, "tuck"): (0.0, 0.0, 0.0, 0.1, 0.0),
    (3, "pike"): (0.1, 0.3, 0.3, 0.3, 0.3),
    (3, "straight"): (0.4, 0.5, 0.6, 0.8, 0.5),
    (3, "free"): (0.0, -0.1, -0.1, 0.2, 0.0),
    (5, "tuck"): (0.0, 0.1, 0.0, 0.2, 0.1),
    (5, "pike"): (0.2, 0.3, 0.2, 0.5, 0.3),
    (6, "tuck"): (0.0, 0.0, 0.0, 0.3, 0.1),
    (6, "pike"): (0.3, 0.3, 0.3, 0.6, 0.3),
    (9, "tuck"): (0.2, 0.2, 0.2, 0.4, 0.2),
}
_ORDER = ("forward", "back", "reverse", "inward")
# Component C, twists, by half twists, 0 to 8. Backward dives: first for at most two somersaults, then for more.
_C_FORWARD = (0.0, 0.4, 0.6, 0.8, 1.0, 1.2, 1.5, 1.7, 1.9)
_C_BACKWARD = ((0.0, 0.4, 0.4, 0.8, 0.8, 1.2, 1.4, 1.7, 1.8), (0.0, 0.0, 0.4, 0.6, 0.8, 1.0, 1.4, 1.5, 1.8))
_C_ARMSTAND = (0.0, 0.6, 1.0, 1.1, 1.3, 1.5, 1.7, 1.9, 2.1)
_D_APPROACH = {"forward": 0.0, "back": 0.2, "reverse": 0.3, "inward": 0.2}
# Component E, unnatural entry (the diver cannot see the water), by half somersaults; only for dives without twists.
_E_ENTRY = (0.0, 0.1, 0.1, 0.2, 0.2, 0.3, 0.3, 0.4, 0.4, 0.5)
_E_ARMSTAND = (0.0, 0.1, 0.2, 0.2, 0.3, 0.3, 0.5, 0.5, 0.5, 0.5)


def difficulty(dive: Element) -> float:
    """Return the degree of difficulty A + B + C + D + E on the 10 m platform, 1.3 to 4.1 for the catalogue's dives.

    The components are A somersaults, B flight position, C twists, D approach and E unnatural entry, modelled on the
    FINA formula (Diving Rules, appendix "Degree of Difficulty, Formula and Components, Platform"). Their values are
    from its editions of 2005 to 2017, chosen so that the platform dives of MTL-AQA get their declared difficulty.

    >>> [difficulty(element(n)) for n in ("107B", "407C", "5253B", "626C", "409C")]
    [3.0, 3.2, 3.2, 3.3, 4.1]
    """
    parts = (_A_SOMERSAULTS[dive.somersaults], _position(dive), _twists(dive), _approach(dive), _entry(dive))
    return round(math.fsum(parts), 1)


def _position(dive: Element) -> float:
    bands = [band for band, position in _B_POSITION if position == dive.position and band <= dive.somersaults]
    column = 4 if dive.armstand else _ORDER.index(dive.rotation)
    return _B_POSITION[max(bands), dive.position][column]


def _twists(dive: Element) -> float:
    if dive.armstand:
        return _C_ARMSTAND[dive.twists]
    if dive.rotation == "forward":
        return _C_FORWARD[dive.twists]
    return _C_BACKWARD[dive.somersaults >= 5][dive.twists]


def _approach(dive: Element) -> float:
    if dive.armstand:
        return 0.3 if dive.rotation == "reverse" else 0.2
    if dive.rotation == "inward" and dive.somersaults <= 2:
        return 0.3
    return _D_APPROACH[dive.rotation]


def _entry(dive: Element) -> float:
    forward = dive.rotation in ("forward", "inward")
    if dive.twists or dive.somersaults == 0 or (forward and (dive.headfirst or dive.armstand)):
        return 0.0
    if dive.armstand:
        return _E_ARMSTAND[dive.somersaults]
    return _E_ENTRY[dive.somersaults] if dive.headfirst or forward else 0.0


def unusualness(dive: Element) -> float:
    """Return the rarity of a dive: its surprisal in bits above that of the most common dives, scaled to 0…1.

    >>> unusualness(element("107B")), unusualness(element("409C"))
    (0.0, 1.0)
    """
    usual, rare = max(WEIGHTS.values()), min(WEIGHTS.values())
    return math.log(usual / WEIGHTS[dive.number]) / math.log(usual / rare)
