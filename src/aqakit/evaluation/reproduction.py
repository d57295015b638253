"""Reproduce published results from recipes, and compare our figure with the published one.

A recipe is a file ``recipes/<data set>/<name>.json`` of the package, called ``<data set>/<name>``. It holds the figure
of a paper, the rule by which its epoch was selected, and the arguments of ``aqakit benchmark`` for the run.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from aqakit import discovery
from aqakit.backbones import weights
from aqakit.backbones.weights import CATALOGUE
from aqakit.errors import OptionError, WeightsError
from aqakit.evaluation.benchmark import MEAN, Table, benchmark
from aqakit.evaluation.selection import RULES
from aqakit.system.files import user_path

_FOLDER = Path(__file__).with_name("recipes")
_UNSTATED = "last"
"""Our rule to compare with a figure whose selection rule is not stated."""


class Run(BaseModel):
    """Arguments of :func:`aqakit.evaluation.benchmark.benchmark`.

    Attributes:
        dataset: name and options.
        protocol: name of its splits.
        task: ``all`` for a data set with several tasks.
        method: name and options.
        backbones: names and options; their weights are file names as listed by ``aqakit weights``.
        options: options of the run and of the training loop.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str
    protocol: str
    task: Literal["all"] | None
    method: str
    backbones: tuple[str, ...]
    options: Mapping[str, Any]


class PublishedResult(BaseModel):
    """One row of a paper's table.

    Attributes:
        system: name of the system in the paper.
        paper: the paper that reports the result.
        source: the table that contains the figure.
        published: Spearman by task, None if only the ``mean`` over several is printed; empty if no figure can be
            verified.
        rule: how the epoch was selected, a name in :data:`aqakit.evaluation.selection.RULES`; None if the paper does
            not say.
        seeds: number of runs that were averaged.
        run: how to run it here; or one phrase on why it cannot be run.
        notes: differences from the paper.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    system: str
    paper: str
    source: str
    published: Mapping[str, Annotated[float | None, Field(ge=-1, le=1)]]
    rule: str | None
    seeds: Annotated[int, Field(gt=0)]
    run: Run | str
    notes: tuple[str, ...]

    @property
    def tasks(self) -> set[str]:
        """The tasks that the mean is over."""
        return set(self.published) - {"mean"}

    @property
    def figure(self) -> float | None:
        """The headline figure: the mean over tasks, or the only figure."""
        only = next(iter(self.published.values())) if len(self.published) == 1 else None
        return self.published.get("mean", only)


def names() -> list[str]:
    """Return the names of all recipes, as ``<data set>/<name>``."""
    return sorted(file.relative_to(_FOLDER).with_suffix("").as_posix() for file in _FOLDER.glob("*/*.json"))


def load(name: str) -> PublishedResult:
    """Load a recipe by name.

    Raises:
        OptionError: there is no such recipe; the message suggests similar names.
    """
    if name not in names():
        close = difflib.get_close_matches(name, names(), n=3, cutoff=0.5)
        meant = f"; did you mean {' or '.join(close)}?" if close else "."
        raise OptionError(f"there is no recipe {name!r}{meant} `aqakit reproduce --list` lists them all")
    return PublishedResult.model_validate_json((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def listing() -> list[dict[str, Any]]:
    """Return one row for each recipe: the table of published results."""
    return [_listed(name, load(name)) for name in names()]


def _listed(name: str, result: PublishedResult) -> dict[str, Any]:
    runnable = not isinstance(result.run, str)
    return {
        "name": name,
        "data_set": name.split("/")[0],
        "system": result.system,
        "method": discovery.parse_spec(result.run.method)[0] if isinstance(result.run, Run) else None,
        "published": result.figure,
        "rule": _rule(result),
        "paper": result.paper,
        "source": result.source,
        "by_task": dict(result.published),
        "runs_here": runnable,
        "notes": list(result.notes) if runnable else [str(result.run), *result.notes],
    }


def _rule(result: PublishedResult) -> str:
    if result.rule is None:
        return "not stated"
    return result.rule if RULES[result.rule].honest else f"{result.rule} (optimistic)"


def reproduce(
    name: str,
    *,
    root: Path | str | None = None,
    weights: str | None = None,
    videos: Path | str | None = None,
    task: str | None = None,
    epochs: int | None = None,
    seeds: int | None = None,
    out: Path | str | None = None,
    cache: Path | str | None = None,
) -> Table:
    """Run a recipe and report it by the paper's rule and by the honest rule ``last``, from the same runs.

    Args:
        name: name of the recipe.
        root: path of the data set.
        weights: a file to use instead of the weights named by the recipe, or ``random`` for random weights.
        videos: path of the recordings, for a data set that stores them separately.
        task: one task of several.
        epochs: number of epochs, to try the recipe out.
        seeds: number of seeds, counted from 0.
        out: folder for the runs, so that an interrupted reproduction can resume.
        cache: folder of the feature cache.

    Raises:
        OptionError: there is no such recipe, or it cannot be run here.
        WeightsError: the pretrained weights of the recipe are missing.
        DataError: the data set or its recordings are missing.
    """
    result = load(name)
    run = result.run
    if isinstance(run, str):
        raise OptionError(f"{name} can be listed but not run: {run}")
    table = benchmark(
        f"{run.dataset}:videos={videos}" if videos else run.dataset,
        backbones=_started(name, run.backbones, weights),
        methods=[run.method],
        root=root,
        task=task or run.task,
        protocol=run.protocol,
        rules=list(dict.fromkeys([result.rule or _UNSTATED, "last"])),
        seeds=seeds or result.seeds,
        out=out,
        cache=cache,
        **{**run.options, **({"epochs": epochs} if epochs else {})},
    )
    ran = {row["task"] for row in table.rows}
    rows = [_beside(row, result, run, ran) for row in table.rows]
    general = [note.replace(run.method, result.system) for note in table.notes]
    notes = [*_tried(result, run, weights, epochs, seeds), *_left_out(result, ran), *_explained(result, run), *general]
    return Table(rows, f"{result.system}, {result.paper}", notes, [*table.details, *_DETAILS])


_DETAILS = ("protocol", "kendall", "crps", "coverage_90", "width_90", "mae")


def _beside(row: Mapping[str, Any], result: PublishedResult, run: Run, tasks: set[str]) -> dict[str, Any]:
    """Add the published figure to a row of the benchmark, if both have the same rule and the same tasks."""
    own = row["method"] == run.method
    same_rule = own and row["rule"] == (_UNSTATED if result.rule is None else _rule(result))
    ours, published = row["spearman"], _of_task(result, row["task"], tasks) if same_rule else None
    first = {
        "method": result.system if own else row["method"],
        **{column: row[column] for column in ("task", "rule", "seeds", "samples")},
        "ours": ours,
        "published": published,
        "difference": None if ours is None or published is None else ours - published,
    }
    return first | {column: value for column, value in row.items() if column not in (*first, "spearman")}


def _of_task(result: PublishedResult, task: str, ran: set[str]) -> float | None:
    if task != MEAN:
        return result.published.get(task)
    return result.published.get("mean") if result.tasks <= ran else None


def _started(name: str, backbones: Sequence[str], chosen: str | None) -> list[str]:
    """Return the backbones with the chosen weights in place of the published ones."""
    replaced = [backbone for backbone in backbones if _published_weights(backbone)]
    if chosen and not replaced:
        raise OptionError(f"{name} uses no published weights; omit --weights")
    return [_with_weights(b, chosen) if b in replaced else b for b in backbones]


def _published_weights(backbone: str) -> str | None:
    given = discovery.parse_spec(backbone)[1].get("weights")
    return next((given for entry in CATALOGUE if given in (entry.name, *entry.also)), None)


def _with_weights(backbone: str, chosen: str | None) -> str:
    name, options = discovery.parse_spec(backbone)
    if chosen == "random":
        del options["weights"]
    else:
        options["weights"] = chosen or options["weights"]
        _check_weights(options["weights"])
    return discovery.format_spec(name, options)


def _check_weights(file: str) -> None:
    """Check that the weights exist, before any video is opened."""
    try:
        weights.locate(user_path(file))
    except WeightsError as error:
        raise WeightsError(f"{error}; then give --weights FILE, or --weights random to try the recipe out") from None


def _tried(result: PublishedResult, run: Run, weights: str | None, epochs: int | None, seeds: int | None) -> list[str]:
    """Return notes on options with which this is not a reproduction."""
    notes = []
    if weights:
        named = ", ".join(filter(None, map(_published_weights, run.backbones)))
        notes.append(f"not as published: weights {weights}; the paper uses {named}.")
    if epochs and epochs != run.options["epochs"]:
        notes.append(f"not as published: {epochs} epochs instead of {run.options['epochs']}.")
    if seeds and seeds != result.seeds:
        notes.append(f"not as published: {seeds} seeds instead of {result.seeds}.")
    return notes


def _left_out(result: PublishedResult, ran: set[str]) -> list[str]:
    left = ", ".join(task for task in result.published if task in result.tasks - ran)
    return [f"not as published: without {left}, so there is no published mean to compare with."] if left else []


def _explained(result: PublishedResult, run: Run) -> list[str]:
    figure = f"published: {result.source}; rule: {_rule(result)}."
    options = " ".join(f"{key}={value}" for key, value in run.options.items())
    recipe = f"recipe: {run.method} on {' and '.join(run.backbones)}; {options}."
    return [figure, recipe, *(f"{note}." for note in result.notes)]
