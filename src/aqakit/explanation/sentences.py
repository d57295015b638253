"""Say what a measure costs, by a template: which, how much, when, against what, and the points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from aqakit.backbones.parts.named import Measure

NOTHING = "No measure stands out: none costs more than it differs among the better recordings."
TOO_FEW = "The run has too few training recordings to say which measures cost points: it needs 22."

SIDES = ("left", "right", "leading", "other")

_ROOT = "√"
_START = ", against the start"
_ANGLE = " angle"
_SHARE = "share of "
_SHORT = {"degrees": "°", "degrees/s": "°/s"}
_EXTREME = {"lowest": "smallest", "highest": "largest"}


def sentence(
    measure: Measure,
    value: float,
    span: tuple[float, float],
    second: float | None,
    cost: float,
    unit: str,
    sides: Mapping[str, str],
) -> str:
    """Return one sentence on a measure, and one on what it costs.

    Args:
        measure: what is spoken of.
        value: its value.
        span: what the better recordings have.
        second: when it has that value; None if it is not of one moment.
        cost: points that it costs.
        unit: of these.
        sides: the sides of the body that names stand for, such as ``{"leading": "right", "other": "left"}``.

    >>> knee = Measure("right knee angle, lowest", "degrees", "right knee angle", "straighter", "right knee angle",
    ...                "lowest")
    >>> sentence(knee, 122.3, (84, 100.6), 3.42, 3.14, "points", {})
    'Right knee, smallest angle: 122° at 3.4 s; the better recordings reach 84 – 101°. Costs 3.1 points.'
    >>> sentence(Measure("duration", "√s", "tempo", "longer"), 9, (4, 5), None, 2, "points", {})
    'Duration: 81.0 s; the better recordings have 16.0 – 25.0 s. Costs 2.0 points.'
    >>> sentence(knee, 180, (179.7, 179.8), None, 2, "points", {})
    'Right knee, smallest angle: 180.0°; the better recordings have 179.7 – 179.8°. Costs 2.0 points.'
    """
    if measure.unit.startswith(_ROOT):
        measure = replace(measure, unit=measure.unit.removeprefix(_ROOT).strip("()"))
        value, span = value**2, (span[0] ** 2, span[1] ** 2)
    at = "" if second is None else f" at {second:.1f} s"
    verb = "have" if second is None else "reach"
    low, high = span
    dash = " – " if low >= 0 else " to "
    digits = _digits(measure, value, low, high)
    reach = f"{_number(low, measure, digits)}{dash}{_number(high, measure, digits)}{_unit(measure)}"
    what = with_sides(_what(measure), sides)
    said = f"{what[0].upper()}{what[1:]}: {_number(value, measure, digits)}{_unit(measure)}{at}"
    return f"{said}; the better recordings {verb} {reach}. Costs {cost:.1f} {unit}."


def with_sides(text: str, sides: Mapping[str, str]) -> str:
    """Put the sides of the body in place of what a recording calls them.

    >>> with_sides("other knee angle, lowest", {"leading": "right", "other": "left"})
    'left knee angle, lowest'
    """
    return " ".join(sides.get(word, word) for word in text.split(" "))


def _what(measure: Measure) -> str:
    """Name a measure: ``right knee, smallest angle``."""
    against = _START.replace(",", "") if measure.name.endswith(_START) else ""
    channel = measure.channel or ""
    if not channel or not measure.statistic:
        return measure.name.removesuffix(_START) + against
    if not channel.endswith(_ANGLE):
        return f"{channel}, {measure.statistic}{against}"
    joint, (first, *rest) = channel.removesuffix(_ANGLE), measure.statistic.split(" ")
    if first in _EXTREME and "speed" not in rest:
        return f"{' '.join([f'{joint},', _EXTREME[first], 'angle', *rest])}{against}"
    if first == "mean" and "speed" not in rest:
        return f"{joint}, {' '.join(['mean angle', *rest])}{against}"
    return f"{channel}, {measure.statistic}{against}"


def _digits(measure: Measure, value: float, low: float, high: float) -> int:
    """Decimals: none of degrees and per cent, else such that the values have three digits.

    There are more, up to three, where a value outside the span would read as if it were its end.
    """
    largest = max(map(abs, (value, low, high)))
    whole = measure.unit in _SHORT or measure.unit.startswith(_SHARE) or largest >= 100
    digits = 0 if whole else 1 if largest >= 10 else 2
    end = min(max(value, low), high)
    while digits < 3 and value != end and _number(value, measure, digits) == _number(end, measure, digits):
        digits += 1
    return digits


def _number(value: float, measure: Measure, digits: int) -> str:
    text = f"{100 * value if measure.unit.startswith(_SHARE) else value:.{digits}f}"
    return text.replace("-", "−") if float(text) else text.replace("-", "")


def _unit(measure: Measure) -> str:
    if measure.unit.startswith(_SHARE):
        return f" % of {measure.unit.removeprefix(_SHARE)}"
    return _SHORT.get(measure.unit, f" {measure.unit}" if measure.unit else "")
