"""The command line: thin. Options are made from the signatures of ``build()``, of the run and of the loop."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from aqakit import (
    catalogue,
    datasets,
    discovery,
    distributed,
    explanation,
    health,
    protocols,
    recipe,
    reporting,
    reproduction,
    runs,
    weights,
)
from aqakit.demo import SETTINGS
from aqakit.demo import demo as run_demo
from aqakit.errors import AqakitError, DataError, OptionError
from aqakit.evaluation import DETAILS, describe_run, evaluate_file, evaluate_run, examples
from aqakit.extraction import extract_dataset
from aqakit.files import default_cache
from aqakit.options import generated, option, shown, with_signature
from aqakit.progress import downloading
from aqakit.report import html, tables
from aqakit.scoring import off_scale, score_recordings
from aqakit.selection import PUBLISHED, RULES
from aqakit.training import Settings

errors = Console(stderr=True)

_BACKBONE = "backbone, as name or name:option=value; may be given again"

JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the table as JSON; - for standard output.")]
CsvFile = Annotated[Path | None, typer.Option("--csv", help="Write the table as CSV; - for standard output.")]


app = typer.Typer(name="aqakit", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def _app() -> None:
    """Score how well an action is performed: train, compare and use Action Quality Assessment systems."""


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the run, the table and the figure.")] = Path(
        "demo"
    ),
    json: JsonFile = None,
) -> None:
    """Render dives, train on their pixels, evaluate on unseen ones and score one file: needs nothing."""
    result = run_demo(out, _print_epoch(SETTINGS["epochs"]))
    tables.show(result.rows, title=result.title, notes=result.notes)
    tables.write(result.rows, json, "json")


@app.command()
def methods(json: JsonFile = None) -> None:
    """Every method: what it reads, its parameters on the features and labels of its paper, what it minimises."""
    rows = catalogue.methods()
    notes = ["parameters: on these features and the labels of MTL-AQA; – for a method that remembers and has none."]
    tables.show(rows, notes=[*notes, "options: `aqakit train METHOD --help`."], hide=["citation"])
    tables.write(rows, json, "json")


@app.command(name="datasets")
def list_datasets(json: JsonFile = None) -> None:
    """Every data set, with its licence and options."""
    _listing("datasets", lambda module: {"licence": module.LICENCE, "options": _option_text(module.samples)}, json)


@app.command()
def backbones(json: JsonFile = None) -> None:
    """Every backbone, with its paper and options."""
    _listing("backbones", lambda module: {"paper": module.PAPER, "options": _option_text(module.build)}, json)


weights_app = typer.Typer()


@weights_app.callback(invoke_without_command=True)
def list_weights(context: typer.Context, json: JsonFile = None) -> None:
    """Published weights: whose they are, what they were trained on, and how to get them."""
    if context.invoked_subcommand is None:
        rows = weights.catalogue()
        tables.show(rows, hide=("get", "input"))
        tables.write(rows, json, "json")


@weights_app.command("get")
def get_weights(
    name: Annotated[str, typer.Argument(help="As `aqakit weights` lists it.")],
    folder: Annotated[Path | None, typer.Option(help="Where to put it (the cache).")] = None,
) -> None:
    """Download one file, with resume and a check."""
    with downloading(name) as progress:
        path = weights.get(name, folder, progress)
    Console().print(str(path), highlight=False, soft_wrap=True)


@app.command()
def check(
    dataset: Annotated[str, typer.Argument(help="Data set, as name or name:option=value.")],
    path: Annotated[Path | None, typer.Argument(help="Its folder; for manifest the CSV file.")] = None,
    root: Annotated[Path | None, typer.Option(help="The same as PATH.")] = None,
    json: JsonFile = None,
) -> None:
    """Health report of a data set: counts, broken files, straddling groups, impossible scores."""
    name, options = discovery.parse_spec(dataset)
    report = health.check(datasets.load(name, path or root, **options))
    findings = [f"{severity}: {sentence}" for severity, sentence in report.findings]
    tables.show(report.rows(), title=name, notes=findings or ["nothing found that is wrong"])
    tables.write(report.rows(), json, "json")
    if any(severity == "error" for severity, _ in report.findings):
        raise typer.Exit(1)


@app.command()
def extract(
    dataset: Annotated[str, typer.Argument(help="Data set, as name or name:option=value.")],
    backbone: Annotated[list[str], typer.Option(help=_BACKBONE.capitalize() + ".")],
    root: Annotated[Path | None, typer.Option(help="Its folder; for manifest the CSV file.")] = None,
    weights: Annotated[str | None, typer.Option(help="Weights for the backbone that takes them.")] = None,
    engine: Annotated[str, typer.Option(help="What runs the network: torch or openvino.")] = "torch",
    precision: Annotated[str, typer.Option(help="Its arithmetic: float32, bfloat16 or int8.")] = "float32",
    calibration: Annotated[Path | None, typer.Option(help="A recording like those to come, for int8.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that share the work; 0: none but this one.")] = 0,
    cluster: Annotated[
        str | None,
        typer.Option(help="Ray cluster that shares the work: host:port, or auto for the one of this machine."),
    ] = None,
    pack: Annotated[bool, typer.Option("--pack", help="Pack the cache: few files in place of many.")] = False,
    cache: Annotated[Path | None, typer.Option(help="Where the features are kept.")] = None,
    failures: Annotated[
        Path | None, typer.Option(help="Where broken recordings are listed (failures.csv in the cache).")
    ] = None,
) -> None:
    """Compute the features of a data set ahead of training; a second call does only what is missing."""
    file = failures or (cache or default_cache()) / "failures.csv"
    done = extract_dataset(
        dataset,
        root=root,
        backbones=_with_weights(backbone, weights),
        engine=engine,
        precision=precision,
        calibration=calibration,
        cache=cache,
        workers=workers,
        cluster=cluster,
        pack=pack,
    )
    Console().print(done.sentence(), highlight=False, soft_wrap=True)
    file.unlink(missing_ok=True)  # an older list is not of this run
    if done.failures:
        file.parent.mkdir(parents=True, exist_ok=True)
        tables.write([{"id": name, "problem": why} for name, why in done.failures.items()], file, "csv")
        raise DataError(f"{len(done.failures)} could not be read; {file} says which and why")


@app.command()
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
        _complain(sentence)
    if failed:
        raise typer.Exit(1)


@app.command()
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
        _show_descriptions(loaded)
    tables.write(rows, json, "json")


@app.command()
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


@app.command()
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


@app.command(name="report")
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


def _show_descriptions(run: runs.Run) -> None:
    if rows := describe_run(run):
        notes = ["accuracy of attributes; BLEU and ROUGE-L from 0 to 1, CIDEr-D from 0 to 10.", *examples(run, 3)]
        tables.show(rows, title="beside the score", notes=notes)


def _benchmark(**given: Any) -> None:
    """Methods × folds × seeds in one honest table, with floors."""
    if distributed.size() > 1:
        raise OptionError("a benchmark runs in one process: torchrun is for train")
    values = _given(given)
    json = values.pop("json", None)
    table = protocols.benchmark(
        values.pop("dataset"),
        backbones=_with_weights(values.pop("backbone", []), values.pop("weights", None)),
        methods=_names(values.pop("methods", "")),
        rules=_names(values.pop("rules", "last")),
        seeds=values.pop("seeds", 1),
        **values,
    )
    tables.show(table.rows, title=table.title, notes=table.notes, hide=table.details)
    tables.write(table.rows, Path(json) if json else None, "json")


@app.command()
def reproduce(
    name: Annotated[str | None, typer.Argument(help="A recipe, such as mtl-aqa/dae-mt.")] = None,
    listing: Annotated[bool, typer.Option("--list", help="The table of the papers: every recipe.")] = False,
    root: Annotated[Path | None, typer.Option(help="Folder of the data set.")] = None,
    videos: Annotated[Path | None, typer.Option(help="Folder of its recordings, if they are elsewhere.")] = None,
    weights: Annotated[
        str | None, typer.Option(help="A file in place of the weights that the recipe names, or random.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="One task of several.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="How many, to try it out.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="How many, counted from 0.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the runs, to go on after a stop.")] = None,
    json: JsonFile = None,
) -> None:
    """Run a published result again: ours beside the published figure."""
    if listing == (name is not None):
        raise OptionError("give a recipe, or --list to see which there are")
    if name is None:
        rows: Sequence[Mapping[str, Any]] = reproduction.listing()
        tables.show(rows, title="published results", hide=("source", "by_task", "runs_here", "notes", "data_set"))
    else:
        table = reproduction.reproduce(
            name, root=root, videos=videos, weights=weights, task=task, epochs=epochs, seeds=seeds, out=out
        )
        rows = table.rows
        tables.show(rows, title=table.title, notes=table.notes, hide=table.details)
    tables.write(rows, json, "json")


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _train_commands() -> typer.Typer:
    """``aqakit train METHOD``: a command for every file of ``methods/``."""
    train = typer.Typer(no_args_is_help=True)
    for name in discovery.names("methods"):
        module = discovery.find("methods", name)
        parameters = [
            option("data", "data set, as name or name:option=value", "--data", required=True),
            option("root", "its folder; for manifest the CSV file", "--root"),
            option("backbone", _BACKBONE, "--backbone", required=True, kind=list[str]),
            option("weights", "weights for the backbone that takes them", "--weights"),
            option("out", "folder of the run", "--out", "-o", required=True),
            *generated(f"Options of {name}", module.build),
            *generated("Options of the run", recipe.common),
            *generated("Options of training", Settings),
        ]
        train.command(name, help=discovery.summary(module))(with_signature(partial(_train, name), parameters))
    return train


def _benchmark_parameters() -> list[inspect.Parameter]:
    run = [p for p in generated("Options of the run", recipe.common) if p.name not in ("task", "protocol", "fold")]
    loop = [p for p in generated("Options of training", Settings) if p.name not in ("seed", "select")]
    dataset = Annotated[str, typer.Argument(help="Data set, as name or name:option=value.")]
    return [
        inspect.Parameter("dataset", inspect.Parameter.KEYWORD_ONLY, annotation=dataset),
        option("root", "its folder; for manifest the CSV file", "--root"),
        option(
            "backbone", f"{_BACKBONE}; neither backbone nor methods: the floors alone", "--backbone", kind=list[str]
        ),
        option("weights", "weights for the backbone that takes them", "--weights"),
        option("methods", "names, with commas; options as name:option=value", "--methods"),
        option("task", "one task, or all for each and a Fisher-z mean", "--task"),
        option("protocol", f"name of the splits, or published: {', '.join(PUBLISHED)}", "--protocol"),
        option("rules", f"which epoch counts, with commas: {', '.join(RULES)} (last)", "--rules"),
        option("seeds", "how many seeds, counted from 0 (1)", "--seeds", kind=int, min=1),
        option("out", "folder for the runs, to go on after a stop (a temporary one)", "--out", "-o"),
        option("json", "write the table as JSON; - for standard output", "--json"),
        *run,
        *loop,
    ]


def _train(method: str, **given: Any) -> None:
    values = _given(given)
    out = Path(values["out"])
    epochs = discovery.configure("training", Settings, {n: v for n, v in values.items() if n == "epochs"})["epochs"]
    chosen = _with_weights(values.pop("backbone"), values.pop("weights", None))
    run = runs.train(method, backbone=chosen, report=_print_epoch(epochs), **values)
    if not distributed.is_first():
        return
    for sentence in run.description["failures"].values():
        _complain(f"left out: {sentence}")
    rows, notes = evaluate_run(run)
    title = f"{method} → {out}" + ("" if rows else ": trained on every scored sample, nothing held out")
    tables.show(rows, title=title, notes=notes, hide=DETAILS)
    _show_descriptions(run)


def _print_epoch(epochs: int) -> runs.Report:
    def report(epoch: int, losses: dict[str, float]) -> None:
        if errors.is_terminal or (epoch + 1) % max(1, epochs // 10) == 0:
            terms = "  ".join(f"{name} {value:.4g}" for name, value in losses.items())
            errors.print(f"epoch {epoch + 1}/{epochs}  {terms}", end="\r" if errors.is_terminal else "\n")

    return report


def _with_weights(chosen: Sequence[str], weights: str | None) -> list[str]:
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


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _option_text(function: Callable[..., Any]) -> str:
    return ", ".join(o.name if o.required else f"{o.name}={shown(o.default)}" for o in discovery.options(function))


def _listing(kind: str, columns: Callable[[Any], dict[str, str]], json: Path | None) -> None:
    rows = []
    for name in discovery.names(kind):
        module = discovery.find(kind, name)
        rows.append({"name": name, "what": discovery.summary(module), **columns(module)})
    tables.show(rows)
    tables.write(rows, json, "json")


def _complain(sentence: str) -> None:
    errors.print(sentence, style="red", highlight=False, markup=False, soft_wrap=True)


app.add_typer(_train_commands(), name="train", help="Train a method on a data set.")
app.add_typer(weights_app, name="weights", help="Published weights: list them, or get one.")
app.command("benchmark")(with_signature(_benchmark, _benchmark_parameters()))


def main() -> None:
    """Run the command line; a user's mistake is one sentence and an exit code, never a traceback."""
    try:
        app()
    except AqakitError as error:
        _complain(f"aqakit: {error}")
        sys.exit(error.exit_code)
    except OSError as error:  # a full disk, a folder that may not be written
        _complain(f"aqakit: {error.filename or 'a file'}: {error.strerror or error}")
        sys.exit(1)


if __name__ == "__main__":
    main()
