"""Write the report of runs as one HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from aqakit.report import gallery, html, svg
from aqakit.report.study import build_study
from aqakit.system.files import output_folder, user_path


def write_report(
    folders: Sequence[Path | str], out: Path | str, *, figures: Path | str | None = None, data: bool = True
) -> Path:
    """Write one self-contained HTML file that compares runs and shows each of them in detail.

    Args:
        folders: folders of runs or benchmarks; or instead CSV files of predictions.
        out: the HTML file.
        figures: folder for the figures as PDF, PNG and SVG.
        data: whether to open the data set for floors, pictures, a map of the features and health.

    Returns:
        The HTML file.

    Raises:
        RunError: there is no finished run with test samples, or the same model is there twice.
        OptionError: the folder of the HTML file does not exist, or that of the figures cannot be made.
    """
    file, folder = user_path(out), output_folder(figures) if figures else None
    html.write(build_study([user_path(f) for f in folders], data=data), file, folder=folder)
    return file


def write_figures(folders: Sequence[Path | str], out: Path | str) -> list[Path]:
    """Write the figures of a report that need no data set, as PDF, PNG and SVG.

    Args:
        folders: folders of runs.
        out: folder of the figures.

    Returns:
        The PNG files.

    Raises:
        RunError: there is no finished run with test samples, or the same model is there twice.
    """
    study = build_study([user_path(f) for f in folders], data=False)
    with svg.style():
        return gallery.save(chain(*gallery.draw(study), gallery.training(study)), user_path(out))
