r"""Result tables as LaTeX, with the rules of ``booktabs``.

>>> print(escape("R-ℓ2×100 of a_b & c: 50 % {x}"))
R-$\ell$2$\times$100 of a\_b \& c: 50 \% \{x\}
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from aqakit.report.tables import Cell
from aqakit.report.typeset import Typeset

_SHRUNK = r"\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{%"
"""Makes what follows as wide as the text if it is wider; it ends with a brace."""

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    "[": "{[}",  # behind \\ it would begin a length
    "]": "{]}",
    "*": "{*}",  # behind \\ it would forbid a page break
    '"': "{''}",
    **{letter: f"\\{letter}" for letter in "{}$&#_%"},
    "–": "--",
    "−": "$-$",
    "∞": r"$\infty$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "→": r"$\rightarrow$",
    "×": r"$\times$",
    "±": r"$\pm$",
    "°": r"$^\circ$",
    "²": r"$^2$",
    "ℓ": r"$\ell$",
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "μ": r"$\mu$",
    "ρ": r"$\rho$",
    "σ": r"$\sigma$",
    "τ": r"$\tau$",
    "…": r"\dots{}",
}  # fmt: skip
_HYPHENS = re.compile(r"-(?=-)")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]+")


def latex(tables: Sequence[Typeset]) -> str:
    r"""Return a ``table`` environment for each table; the document needs the packages ``booktabs`` and ``graphicx``."""
    return "\n".join(["% needs \\usepackage{booktabs} and \\usepackage{graphicx}", *map(_table, tables)])


def escape(text: str) -> str:
    r"""Return text that LaTeX prints as it is; control characters become spaces, and ``--`` stays two hyphens."""
    plain = _HYPHENS.sub("-\0", _UNPRINTABLE.sub(" ", text))
    return "".join(_SPECIAL.get(letter, letter) for letter in plain).replace("\0", "{}")


def _table(table: Typeset) -> str:
    notes = [f"% {_UNPRINTABLE.sub(' ', note)}" for note in table.notes]
    if not table.rows:
        return "\n".join([*notes, f"% {_UNPRINTABLE.sub(' ', table.title)}: there are no rows", ""])
    body = []
    for number, row in enumerate(table.rows):
        body += [r"    \midrule"] if number in table.breaks else []
        body.append(_row(_cells(row, table.numbers)))
    return "\n".join(
        [
            *notes,
            r"\begin{table}",
            r"  \centering",
            f"  \\caption{{{_marked('. '.join(table.caption))}.}}",
            f"  \\label{{tab:{_label(table)}}}",
            f"  {_SHRUNK}",
            f"  \\begin{{tabular}}{{{''.join('r' if number else 'l' for number in table.numbers)}}}",
            r"    \toprule",
            _row([escape(title) for title in table.titles]),
            r"    \midrule",
            *body,
            r"    \bottomrule",
            r"  \end{tabular}}",
            r"\end{table}",
            "",
        ]
    )


def _cells(row: Sequence[Cell], numbers: Sequence[bool]) -> list[str]:
    """Return the cells of a row in LaTeX."""
    return [_cell(cell, number) for cell, number in zip(row, numbers, strict=True)]


def _cell(cell: Cell, number: bool) -> str:
    minus = re.sub(r"^-(?=\d)", "−", cell.text) if number else cell.text
    value = f"\\textbf{{{escape(minus)}}}" if cell.bold else _marked(minus)
    if not cell.interval:
        return value
    ends = re.sub(r"-(?=\d)", "−", cell.interval)
    return f"{value} {{\\scriptsize {escape(ends)}}}"


def _row(cells: Sequence[str]) -> str:
    return f"    {' & '.join(cells)} \\\\"


def _marked(text: str) -> str:
    return escape(text).replace("optimistic", r"\emph{optimistic}")


def _label(table: Typeset) -> str:
    title = table.title or "".join(table.caption[:1])
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:40] or "results"
