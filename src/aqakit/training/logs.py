"""Logs of training, written after each epoch: a CSV file, or events for TensorBoard."""

from __future__ import annotations

import csv
import importlib
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from aqakit.errors import OptionError
from aqakit.system.files import write_text
from aqakit.system.wording import option

Log = Literal["csv", "tensorboard"]
EpochReport = Callable[[int, dict[str, float]], None]

CSV = "log.csv"
EVENTS = "tensorboard"


def check_log(kind: Log | None) -> None:
    """Check that a log can be written.

    Raises:
        OptionError: there is no such log, or its library is not installed.
    """
    if kind not in (None, "csv", "tensorboard"):
        raise OptionError(f"there is no log {kind!r}; choose from: csv, tensorboard")
    if kind == "tensorboard":
        _library()


def logged(kind: Log | None, folder: Path, report: EpochReport) -> EpochReport:
    """Return a report that also writes the seconds since the start and every loss term of an epoch.

    ``csv`` writes ``log.csv`` in the run folder, ``tensorboard`` its folder ``tensorboard``. A resumed run goes on in
    the same log.

    Raises:
        OptionError: as :func:`check_log`.
    """
    check_log(kind)
    if kind is None:
        return report
    write = _csv(folder / CSV) if kind == "csv" else _tensorboard(folder / EVENTS)
    start = time.monotonic()

    def both(epoch: int, losses: dict[str, float]) -> None:
        write(epoch, {"seconds": time.monotonic() - start, **losses})
        report(epoch, losses)

    return both


def _csv(file: Path) -> EpochReport:
    def write(epoch: int, values: dict[str, float]) -> None:
        row = {"epoch": str(epoch + 1), **{name: f"{value:.6g}" for name, value in values.items()}}
        rows = _rows_before(file, epoch + 1) if file.exists() else []
        columns = list(dict.fromkeys(name for one in (*rows, row) for name in one))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows([*rows, row])
        write_text(file, text.getvalue())

    return write


def _rows_before(file: Path, epoch: int) -> list[dict[str, str]]:
    """The rows of earlier epochs: a resumed run repeats those after its last checkpoint."""
    with file.open(encoding="utf-8", newline="") as lines:
        return [row for row in csv.DictReader(lines) if row["epoch"].isdigit() and int(row["epoch"]) < epoch]


def _library() -> Any:
    try:
        return importlib.import_module("torch.utils.tensorboard")
    except ImportError:
        raise OptionError(
            f"TensorBoard is not installed: pip install 'aqakit[logs]', or give {option('log', 'csv')}"
        ) from None


def _tensorboard(folder: Path) -> EpochReport:
    library = _library()
    writers: list[Any] = []

    def write(epoch: int, values: dict[str, float]) -> None:
        if not writers:  # what is there of later epochs is replaced by what follows
            writers.append(library.SummaryWriter(str(folder), purge_step=epoch + 1))
        for name, value in values.items():
            writers[0].add_scalar(name if name == "seconds" else f"loss/{name}", value, epoch + 1)
        writers[0].flush()

    return write
