"""Text on a page of fixed size: wrapped by the widths of its letters, drawn line by line."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from matplotlib import font_manager
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

LEADING = 1.4
"""Distance of two lines, in sizes of the letters."""

_FAMILIES = (
    "DejaVu Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans JP", "Noto Sans SC", "Noto Sans KR",
    "Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Devanagari", "Arial Unicode MS", "WenQuanYi Zen Hei", "Unifont",
)  # fmt: skip
"""In the order in which a letter is looked for."""

_SIZE, _DPI = 40, 720
"""At which letters are measured, so large that rounding to pixels does not matter."""
_RENDERER: Any = RendererAgg(8, 8, _DPI)  # type: ignore[no-untyped-call]


@lru_cache
def font(bold: bool = False) -> FontProperties:
    """Return the families that are installed; those after the first have letters that it lacks."""
    there = {one.name for one in font_manager.fontManager.ttflist}
    families = [name for name in _FAMILIES if name in there]
    return FontProperties(family=families, weight="bold" if bold else "normal")


def width(text: str, size: float, bold: bool = False) -> float:
    """Return the width of one line, in points, by its letters."""
    return size * sum(_letter(letter, bold) for letter in text)


@lru_cache(maxsize=4096)
def _letter(letter: str, bold: bool) -> float:
    """How far a letter moves the next one, in sizes: by two others around it, so that blanks count."""
    own = FontProperties(family=font(bold).get_family(), weight=font(bold).get_weight(), size=_SIZE)
    ends, filled = (_RENDERER.get_text_width_height_descent(text, own, False)[0] for text in ("ii", f"i{letter}i"))
    return (filled - ends) * 72 / _DPI / _SIZE


def wrap(text: str, size: float, room: float, *, bold: bool = False, most: int | None = None) -> list[str]:
    """Divide a text into lines of at most ``room`` points, between words, and inside of those that are longer.

    With ``most`` lines, the last ends in … if there is more.
    """
    lines, line = [], ""
    for word in _divided(" ".join(text.split()), size, room, bold):
        together = f"{line} {word}" if line else word
        if line and width(together, size, bold) > room:
            lines.append(line)
            together = word
        line = together
    lines = [*lines, line] if line else lines
    if most is None or len(lines) <= most:
        return lines
    last = lines[most - 1]
    while width(f"{last}…", size, bold) > room:
        last = last[:-1]
    return [*lines[: most - 1], f"{last}…"]


def _divided(text: str, size: float, room: float, bold: bool) -> list[str]:
    """Words, of which those that are wider than the room are in pieces."""
    found = []
    for word in text.split(" "):
        piece = ""
        for letter in word:
            if width(piece + letter, size, bold) > room:
                found.append(piece)
                piece = ""
            piece += letter
        found.append(piece)
    return found


def draw(
    figure: Figure, lines: list[str], left: float, top: float, size: float, *, bold: bool = False, colour: str = "black"
) -> float:
    """Draw lines from ``top`` downwards, in points from the lower left corner; return where the next block begins."""
    across, up = figure.get_size_inches() * 72
    for k, line in enumerate(lines):
        y = (top - size - k * LEADING * size) / up
        figure.text(left / across, y, line, size=size, font=font(bold), color=colour, parse_math=False)
    return top - height(lines, size)


def height(lines: list[str], size: float) -> float:
    """Return the height of lines, in points."""
    return LEADING * size * len(lines)
