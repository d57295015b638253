"""What the commands share: options, words to standard error, and names from a command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from aqakit import discovery, runs
from aqakit.errors import OptionError
from aqakit.evaluation import describe_run, examples
from aqakit.report import tables

errors = Console(stderr=True)

BACKBONE = "backbone, as name or name:option=value; may be given again"

JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the table as JSON; - for standard output.")]
CsvFile = Annotated[Path | None, typer.Option("--csv", help="Write the table as CSV; - for standard output.")]


def complain(sentence: str) -> None:
    """Say it in red on standard error."""
    errors.print(sentence, style="red", highlight=False, markup=False, soft_wrap=True)


def show_descriptions(run: runs.Run) -> None:
    """Print how good the attributes and captions of a run are, if it says any."""
    if rows := describe_run(run):
        notes = ["accuracy of attributes; BLEU and ROUGE-L from 0 to 1, CIDEr-D from 0 to 10.", *examples(run, 3)]
        tables.show(rows, title="beside the score", notes=notes)


def print_epoch(epochs: int) -> runs.Report:
    """Print the losses to standard error: of each epoch on a terminal, of a tenth of them in a log."""

    def report(epoch: int, losses: dict[str, float]) -> None:
        if errors.is_terminal or (epoch + 1) % max(1, epochs // 10) == 0:
            terms = "  ".join(f"{name} {value:.4g}" for name, value in losses.items())
            errors.print(f"epoch {epoch + 1}/{epochs}  {terms}", end="\r" if errors.is_terminal else "\n")

    return report


def with_weights(chosen: Sequence[str], weights: str | None) -> list[str]:
    """Give ``--weights`` to the one backbone that has such an option."""
    if weights is None:
        return list(chosen)
    takers = [c for c in chosen if "weights" in _backbone_options(c)]
    if len(takers) != 1:
        raise OptionError(f"--weights fits {len(takers)} of these backbones; write NAME:weights=PATH instead")
    return [f"{c}:weights={weights}" if c == takers[0] else c for c in chosen]


def _backbone_options(spec: str) -> list[str]:
    name, given = discovery.parse_spec(spec)
    return [o.name for o in discovery.options(discovery.find("backbones", name).build) if o.name not in given]


def given_only(values: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name, value in values.items() if value is not None}


def names(text: str) -> list[str]:
    """Of a list with commas."""
    return [name for name in text.split(",") if name]
