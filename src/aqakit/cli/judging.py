"""Commands that use finished runs: predict, evaluate, explain, the report and the page."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from aqakit import explanation, reporting, runs
from aqakit.cli.common import CsvFile, JsonFile, complain, show_descriptions
from aqakit.errors import OptionError
from aqakit.evaluation import DETAILS, evaluate_file, evaluate_run
from aqakit.files import default_cache
from aqakit.report import html, tables
from aqakit.scoring import off_scale, score_recordings


def predict(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    recordings: Annotated[list[Path] | None, typer.Argument(help="Videos, folders of frames, or signals.")] = None,
    manifest: Annotated[
        Path | None, typer.Option(help="A CSV of recordings, as the data set manifest reads it.")
    ] = None,
    difficulty: Annotated[
        float | None, typer.Option(help="Declared difficulty, for a run on the target total.")
    ] = None,
    json: JsonFile = None,
    csv: CsvFile = None,
) -> None:
    """Score recordings: score, standard deviation and 90 % interval."""
    if (manifest is None) == (not recordings):
        raise OptionError("give recordings to score, or --manifest FILE")
    loaded = runs.Run.load(run)
    rows, failed = score_recordings(loaded, recordings or manifest, difficulty)  # type: ignore[arg-type]
    if "-" not in (str(json), str(csv)) and rows:
        tables.show(rows, title=f"{loaded.recipe.method}, scores in {loaded.labels.scale.unit}")
    tables.write(rows, json, "json")
    tables.write(rows, csv, "csv")
    for sentence in (*off_scale(rows, loaded.labels.scale), *failed):
        complain(sentence)
    if failed:
        raise typer.Exit(1)


def evaluate(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run; or anybody's predictions, a CSV.")],
    span: Annotated[
        float | None, typer.Option(min=0, help="Of a CSV: highest minus lowest score there can be, for relative l2.")
    ] = None,
    json: JsonFile = None,
) -> None:
    """Judge a run on the splits it watched: rank, error, probability and calibration.

    A CSV has columns id, true, mean; and std, or quantiles such as q05, q50, q95; and split or fold, if there is one.
    """
    if run.is_file():
        rows, notes = evaluate_file(run, span)
        tables.show(rows, title=run.name, notes=notes, hide=DETAILS)
    else:
        loaded = runs.Run.load(run)
        rows, notes = evaluate_run(loaded)
        tables.show(rows, title=f"{loaded.recipe.method} on {loaded.recipe.data}", notes=notes, hide=DETAILS)
        show_descriptions(loaded)
    tables.write(rows, json, "json")


def explain(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    recording: Annotated[Path, typer.Argument(help="A video, a folder of frames, or a signal.")],
    difficulty: Annotated[
        float | None, typer.Option(help="Declared difficulty, for a run on the target total.")
    ] = None,
    json: JsonFile = None,
) -> None:
    """What each clip adds to the score of a recording, in points, and the training videos most like it."""
    loaded = runs.Run.load(run)
    found = explanation.explain(loaded, recording, difficulty=difficulty)
    if str(json) != "-":
        unit = loaded.labels.scale.unit
        title = f"{recording}: {found.prediction:.2f} {unit}, {found.baseline:.2f} if every clip were the usual one"
        tables.show([vars(clip) for clip in found.clips], title=title, notes=["points: what the clip adds or takes."])
        tables.show([vars(exemplar) for exemplar in found.exemplars], title="most alike in training")
    tables.write([found.to_json()], json, "json")


def serve(
    folders: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of finished runs that read videos.")],
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for the whole network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8000,
    token: Annotated[
        str | None, typer.Option(envvar="AQAKIT_TOKEN", help="What visitors must know; none: anybody may use it.")
    ] = None,
    folder: Annotated[Path | None, typer.Option(help="Where queue, videos and scores are kept (the cache).")] = None,
    megabytes: Annotated[int, typer.Option(min=1, help="The largest video that is taken.")] = 200,
    hours: Annotated[float, typer.Option(min=0, help="How long an uploaded video is kept.")] = 24,
) -> None:
    """A page in the browser: upload a video, see its score and what made it."""
    try:
        web = importlib.import_module("aqakit.web.server")
    except ModuleNotFoundError as error:
        raise OptionError(f"the page needs {error.name}: pip install 'aqakit[web]'") from None
    kept = folder or default_cache() / "serve"
    web.serve(folders, host=host, port=port, folder=kept, token=token, megabytes=megabytes, hours=hours)


def write_report(
    folders: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Folders of runs or benchmarks, or CSV files of predictions.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The HTML file.")] = Path("report.html"),
    figures: Annotated[Path | None, typer.Option(help="A folder for the figures as PNG and SVG.")] = None,
    data: Annotated[
        bool, typer.Option(help="Open the data set for floors, pictures, a map of the features and health.")
    ] = True,
) -> None:
    """One self-contained HTML file: comparison, uncertainty, learning curves, worst cases, how to rerun."""
    html.write(reporting.study(folders, data=data), out, folder=figures)
    Console().print(f"{out} ({out.stat().st_size / 1e6:.1f} MB)", highlight=False, soft_wrap=True)
