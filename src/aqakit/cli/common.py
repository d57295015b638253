"""Options shared by several commands, and output to standard error."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aqakit import datasets, evaluation
from aqakit.errors import OptionError
from aqakit.report import tables
from aqakit.system import terminal

if TYPE_CHECKING:
    from aqakit.training.logs import EpochReport
    from aqakit.training.run import Run

errors = terminal.console(stderr=True)

JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the table as JSON; - for standard output.")]
CsvFile = Annotated[Path | None, typer.Option("--csv", help="Write the table as CSV; - for standard output.")]
FigureFile = Annotated[Path | None, typer.Option(help="Draw a figure: a .png or .svg file.")]
KindOption = Annotated[str | None, typer.Option(help="What was declared, such as a dive number.")]
StepsOption = Annotated[
    str | None, typer.Option(help="Declared steps, joined by >: 'forward > 2.5 somersaults pike > entry head first'.")
]
SegmentsFile = Annotated[
    Path | None,
    typer.Option("--segments", help="Named parts of the recording: lines of first and last frame, from 1, and name."),
]
LayoutOption = Annotated[
    str | None, typer.Option(help="Which joint is which, such as coco17, if the file does not tell.")
]
RateOption = Annotated[float | None, typer.Option(min=0.1, help="Rows per second, if the file does not tell (30).")]


def steps_of(text: str | None) -> tuple[str, ...]:
    """Return the steps of ``--steps``.

    Raises:
        OptionError: a step is empty.
    """
    try:
        return datasets.declared.steps(text) if text else ()
    except ValueError as error:
        raise OptionError(f"--steps {error}") from None


def complain(sentence: str) -> None:
    """Print a sentence in red to standard error."""
    errors.print(sentence, style="red", soft_wrap=True)


def show_descriptions(run: Run, show: Callable[..., None] = tables.show) -> None:
    """Show the accuracy of the attributes and captions of a run, if it predicts any."""
    finished = evaluation.finished_run
    if rows := finished.describe_run(run):
        notes = ["Attributes: accuracy. Captions: BLEU and ROUGE-L from 0 to 1, CIDEr-D from 0 to 10."]
        notes += finished.examples(run, 3)
        show(rows, title="attributes and captions", notes=notes)


def print_epoch(epochs: int) -> EpochReport:
    """Return a callback that prints losses and the time left: every epoch on a terminal, about ten times in a log."""
    seen: list[tuple[int, float]] = []  # of the first epoch in this process

    def report(epoch: int, losses: dict[str, float]) -> None:
        seen.append((epoch, time.monotonic()))
        if errors.is_terminal or (epoch + 1) % max(1, epochs // 10) == 0:
            terms = "  ".join(f"{name} {value:.4g}" for name, value in losses.items())
            left = _left(epochs - epoch - 1, *seen[0], epoch)
            errors.print(f"epoch {epoch + 1}/{epochs}  {terms}{left}", end="\r" if errors.is_terminal else "\n")

    return report


def _left(epochs: int, first: int, since: float, last: int) -> str:
    """The time that some epochs will take, as those from ``first`` to ``last`` did; empty until there are two."""
    if not epochs or last == first:
        return ""
    seconds = round(epochs * (time.monotonic() - since) / (last - first))
    return f"  {seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d} left" + " " * 4 * errors.is_terminal
