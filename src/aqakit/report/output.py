"""What a command with result tables puts out: it prints them, and writes them to the files that were asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aqakit.report import tables
from aqakit.report.latex import latex
from aqakit.report.markdown import markdown
from aqakit.report.tables import Row
from aqakit.report.typeset import Typeset, typeset
from aqakit.system.output import write_output


@dataclass
class Output:
    """Files for the tables of one command; ``-`` is standard output, which one of them may be.

    Attributes:
        json: for the rows as data.
        latex: for the tables as they are printed, with booktabs.
        markdown: the same in Markdown.
        wide: show all columns, however wide the table.
    """

    json: Path | None = None
    latex: Path | None = None
    markdown: Path | None = None
    wide: bool = False
    _shown: list[Typeset] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        tables.check_files(**self._files())

    def beside(self, **others: Path | None) -> AbstractContextManager[None]:
        """Print to standard error within the block if standard output is for one of the files, or of some others.

        Raises:
            OptionError: two of them are standard output, or one has no folder.
        """
        files = self._files() | others
        tables.check_files(**files)
        return tables.beside(*files.values())

    def show(
        self,
        rows: Sequence[Row],
        *,
        title: str = "",
        notes: Sequence[str] = (),
        hide: Sequence[str] = (),
        facts: Mapping[str, Any] | None = None,
        metrics: Mapping[str, str] | None = None,
        caption: Sequence[str] = (),
        bold: str = "",
    ) -> None:
        """Print a table, and keep it for :meth:`write`.

        Args:
            rows: as of :func:`aqakit.report.tables.show`.
            title: of the table.
            notes: sentences below it.
            hide: columns that only a wide table has.
            facts: what is true of all rows, for the caption: protocol, rule, seed, members.
            metrics: the metric in each column that does not have its name.
            caption: sentences on cells that are set already, the first of which stands for a title.
            bold: a sentence on what is bold in them.
        """
        hidden = () if self.wide else tuple(hide)
        settings = "; ".join(f"{name}: {value}" for name, value in (facts or {}).items() if value)
        said = [f"{sentence}." for sentence in [*caption[1:], settings] if sentence] if caption else []
        tables.show(rows, title=title or "".join(caption[:1]), notes=[*said, *notes], hide=hidden, wide=self.wide)
        if self.latex or self.markdown:
            more = [*caption, *([bold] if bold else [])]
            made = typeset(rows, title=title, notes=notes, hide=hidden, facts=facts, metrics=metrics, caption=more)
            self._shown.append(made)

    def write(self, rows: Sequence[Row]) -> None:
        """Write the rows as JSON, and the tables that were shown in the other formats."""
        tables.write(rows, self.json, "json")
        for file, made in ((self.latex, latex), (self.markdown, markdown)):
            if file is not None:
                write_output(file, made(self._shown))

    def _files(self) -> dict[str, Path | None]:
        return {"json": self.json, "latex": self.latex, "markdown": self.markdown}
