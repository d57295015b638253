"""Sizes, legends and files of figures for a paper: as wide as a column or as a page, so that nothing is scaled."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aqakit.system.files import atomic_path

COLUMN, PAGE = 3.3, 7.0
"""Width of one column of a paper with two, and of both; inches."""

FORMATS = (".pdf", ".png", ".svg")
"""Endings of the files of a figure."""

_DPI = 300  # of PNG files, and of dense points in the others
_COLUMNS = 3  # maximum number of panels side by side
_LETTER, _LINE, _KEY = 0.062, 0.145, 0.45  # inches of a legend: a letter, a line, the mark before a label
_LONGEST = 60  # letters of a part of a file name


def sheet(height: float, *, width: float = COLUMN) -> Figure:
    """Return an empty figure of so many inches."""
    return Figure(figsize=(width, height), dpi=_DPI, layout="constrained")


def panels(count: int, height: float, *, sharey: bool = False) -> tuple[Figure, list[Axes]]:
    """Return a figure with ``count`` axes of equal size: one is as wide as a column, several share a page."""
    columns = 2 if count == 4 else min(count, _COLUMNS)
    lines = -(-count // columns)
    figure = sheet(height * lines, width=COLUMN if columns == 1 else PAGE)
    every = figure.subplots(lines, columns, squeeze=False, sharey=sharey).ravel()
    for spare in every[count:]:
        spare.remove()
    return figure, list(every[:count])


def legend(figure: Figure, handles: Mapping[str, Artist] | None = None, title: str | None = None) -> None:
    """Put one legend below all panels; the figure grows by its lines, and long labels are wrapped.

    Args:
        figure: with all that it shows, since the legend is that of its axes unless ``handles`` are given.
        handles: what to show for each label.
        title: a sentence above the legend.
    """
    own = (zip(*axes.get_legend_handles_labels()) for axes in figure.axes)
    shown = handles or {label: handle for handle, label in chain.from_iterable(own)}
    labels = [wrapped(label, figure.get_figwidth() - _KEY) for label in shown]
    longest = max((len(line) for label in labels for line in label.split("\n")), default=1)
    columns = max(1, min(len(labels), int(figure.get_figwidth() / (longest * _LETTER + _KEY))))
    words = wrapped(title, figure.get_figwidth()) if title else None
    each = -(-len(labels) // columns)  # labels go down the first column, then down the next
    lines = max(sum(label.count("\n") + 1 for label in labels[k : k + each]) for k in range(0, len(labels), each))
    lines += words.count("\n") + 1 if words else 0
    figure.set_figheight(figure.get_figheight() + _LINE * lines + 0.05)
    figure.legend(
        shown.values(), labels, title=words, ncols=columns, fontsize="small", title_fontsize="small", frameon=False,
        loc="outside lower left", alignment="left", columnspacing=1.2,
    )  # fmt: skip


def wrapped(label: str, width: float) -> str:
    """Wrap a label to so many inches, a method with its options at its options."""
    lines = textwrap.wrap(re.sub(r"([:/])(?=\S)", r" \1", label), max(12, int(width / _LETTER)), break_on_hyphens=False)
    return "\n".join(re.sub(r" ([:/])(?=\S)", r"\1", line) for line in lines)


def equal(axes: Sequence[Axes]) -> None:
    """Give axes the same vertical limits, those that hold all of them."""
    limits = [one.get_ylim() for one in axes]
    for one in axes:
        one.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))


def file_name(*parts: str) -> str:
    """Return a name of letters a to z, digits and hyphens, which is also an id in a page.

    >>> file_name("dae:family=laplace", "PIT")
    'dae-family-laplace-pit'
    """
    plain = (unicodedata.normalize("NFKD", part).encode("ascii", "ignore").decode().lower() for part in parts)
    return "-".join(filter(None, (re.sub("[^a-z0-9]+", "-", part)[:_LONGEST].strip("-") for part in plain)))


def save(figure: Figure, file: Path) -> None:
    """Write PDF, PNG or SVG, depending on the file extension, atomically; fonts of a PDF are embedded as TrueType."""
    with atomic_path(file) as temporary, mpl.rc_context({"pdf.fonttype": 42}):
        figure.savefig(temporary, format=file.suffix[1:].lower())


def save_all(figure: Figure, folder: Path, name: str) -> None:
    """Write a figure in every format."""
    for ending in FORMATS:
        save(figure, folder / f"{name}{ending}")
