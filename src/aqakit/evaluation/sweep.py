"""A benchmark for each share of the labels, in one table; the ablation of what is compared, and its grid of weights.

With every share the same videos are learnt from, and every method keeps the same labels of them. What a paper takes
apart stands in the method's file, as ``ABLATION`` and ``GRID`` (see :mod:`aqakit.methods`). Both start from the options
that the method was asked for with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from aqakit import discovery
from aqakit.datasets.parts import partial_labels
from aqakit.errors import OptionError
from aqakit.evaluation.benchmark import Table, benchmark, folder_of
from aqakit.evaluation.task import named
from aqakit.metrics import comparison
from aqakit.system import configuration
from aqakit.system.files import folder_name
from aqakit.training.recipe import supervision

EVERY = "100%"
"""The share that hides no label."""

_SPEARMAN = ("spearman", "low", "high")
_ABLATION = ("labels", "task", "rule", "module", *_SPEARMAN, "difference", "from", "to")
_GRID = ("labels", "task", "rule")


@dataclass
class Sweep:
    """What came out, as tables to print and as rows to write.

    Attributes:
        shares: of the labels, as asked for.
        table: a row for each method, task and rule, with a column of Spearman for each share.
        rows: all in full, as of a benchmark, with ``table`` (``methods``, ``ablation`` or ``grid``) and ``labels`` (the
            share) before. Those of an ablation name their ``module``, those of a grid its two options.
        ablation: a table for each method that has one.
        grid: a table for each method that has one, of the first share.
        runs: for each share, the run folders by (task, method).
        first_runs: for each share, the first run of each method by its title; variants of an ablation stand in place
            of their method.
    """

    shares: Sequence[str]
    table: Table
    rows: list[dict[str, Any]]
    ablation: list[Table] = field(default_factory=list)
    grid: list[Table] = field(default_factory=list)
    runs: list[Mapping[tuple[str, str], Sequence[Path]]] = field(default_factory=list)
    first_runs: list[Mapping[str, Path]] = field(default_factory=list)

    @property
    def tables(self) -> list[Table]:
        """All of them, the shares first."""
        return [self.table, *self.ablation, *self.grid]

    def of(self, table: str) -> list[dict[str, Any]]:
        """The full rows of one kind of table."""
        return [row for row in self.rows if row["table"] == table]


def sweep(
    dataset: str,
    *,
    methods: Sequence[str],
    labels: Sequence[str] = (EVERY,),
    ablation: bool = False,
    grid: bool = False,
    out: Path | str | None = None,
    **options: Any,
) -> Sweep:
    """Run :func:`aqakit.evaluation.benchmark.benchmark` once for each share of the labels.

    Args:
        dataset: its name, with options as ``name:key=value``.
        methods: their names, with options.
        labels: the shares, each as :func:`aqakit.datasets.parts.partial_labels.choose_labelled` reads it; ``100%``
            hides no label.
        ablation: whether the variants are run of those methods that have an ``ABLATION``.
        grid: whether all combinations are run, with the first share, of those methods that have a ``GRID``.
        out: folder for the runs, with one for each share, so that a stopped sweep goes on; a temporary one where None.
        options: of :func:`aqakit.evaluation.benchmark.benchmark`.

    Raises:
        OptionError: a share that is none, or is there twice; or nothing to take apart.
    """
    _check_shares(labels)
    variants = {m: _variants(m) for m in _declaring("ABLATION", methods)} if ablation else {}
    cells = {m: _cells(m) for m in _declaring("GRID", methods)} if grid else {}
    name = partial(named, transductive=bool(options.get("transductive")))
    with folder_of(out) as folder:
        run = partial(_run, dataset, folder, options)
        tables = [run(share, methods) for share in labels]
        found = Sweep(labels, _summary(labels, tables), list(_full(labels, tables)))
        chosen = [one for own in variants.values() for one in own.values()]
        apart = [run(share, chosen, floors=False) for share in labels] if variants else tables
        _add_ablations(found, variants, apart, name)
        if cells:
            _add_grids(found, cells, run(labels[0], [one for own in cells.values() for one in own], floors=False), name)
    found.runs = [table.runs for table in tables]
    titles = {title: name(one) for m in methods for title, one in variants.get(m, {m: m}).items()}
    firsts = [_first_runs(*both) for both in zip(tables, apart)]
    found.first_runs = [{title: own[method] for title, method in titles.items()} for own in firsts]
    return found


def _run(
    dataset: str,
    folder: Path,
    options: Mapping[str, Any],
    share: str,
    methods: Sequence[str],
    *,
    floors: bool = True,
) -> Table:
    kept = None if share == EVERY else share
    own = folder / folder_name(share)
    return benchmark(dataset, methods=methods, labels=kept, out=own, floors=floors, **options)


def _check_shares(shares: Sequence[str]) -> None:
    seen: dict[str | float, str] = {}
    for share in shares:
        try:
            partial_labels.check_share(share)
        except ValueError as error:
            raise OptionError(f"labels: {share!r} {error}") from None
        number = float(share[:-1]) if share.endswith("%") else share
        if number in seen:
            raise OptionError(f"labels: {seen[number]} and {share} are the same share; name each once")
        seen[number] = share


def _declaring(what: str, methods: Sequence[str]) -> list[str]:
    """The methods asked for whose files have it.

    Raises:
        OptionError: none has.
    """
    found = [m for m in methods if hasattr(_module(m), what)]
    if not found:
        known = [name for name in discovery.names("methods") if hasattr(discovery.find("methods", name), what)]
        raise OptionError(f"--{what.lower()}: no method asked for has one to run; there is {', '.join(known)}")
    return found


def _module(method: str) -> Any:
    return discovery.find("methods", discovery.parse_spec(method)[0])


def _with(method: str, changed: Mapping[str, Any]) -> str:
    """The method with some options changed; the same word where they are as they were."""
    name, given = discovery.parse_spec(method)
    return discovery.format_spec(name, given | {option: f"{value}" for option, value in changed.items()})


def _variants(method: str) -> dict[str, str]:
    """Name of each variant → the method with its options."""
    return {name: _with(method, changed) for name, changed in _module(method).ABLATION.items()}


def _cells(method: str) -> dict[str, dict[str, float]]:
    """The method with the options of each combination → those options.

    Raises:
        OptionError: an option is 0, of which there are no multiples.
    """
    module = _module(method)
    name, given = discovery.parse_spec(method)
    values = configuration.configure(f"method {name}", module.build, given)
    if zero := [option for option in module.GRID if not values[option]]:
        raise OptionError(f"--grid: {method} has {zero[0]}=0, of which there are no multiples; give it a value")
    multiples = [[float(f"{values[o] * factor:.4g}") for factor in factors] for o, factors in module.GRID.items()]
    combinations = [dict(zip(module.GRID, cell)) for cell in product(*multiples)]
    return {_with(method, {o: f"{value:g}" for o, value in cell.items()}): cell for cell in combinations}


def _full(shares: Sequence[str], tables: Sequence[Table]) -> Iterator[dict[str, Any]]:
    for share, table in zip(shares, tables):
        yield from ({"table": "methods", "labels": share, **row} for row in table.rows)


def _summary(shares: Sequence[str], tables: Sequence[Table]) -> Table:
    """Methods × shares."""
    cells = [{(r["method"], r["task"], r["rule"]): r["spearman"] for r in table.rows} for table in tables]
    rows = [
        {"method": method, "task": task, "rule": rule}
        | {share: own.get((method, task, rule)) for share, own in zip(shares, cells)}
        for method, task, rule in dict.fromkeys(key for own in cells for key in own)
    ]
    said = {sentence for share in shares for sentence in supervision(share, transductive=False)}
    notes = [[note for note in table.notes if note not in said] for table in tables]
    shared = [note for note in notes[0] if all(note in other for other in notes)]
    columns = (
        "columns: the share of the scored training samples that kept their labels, drawn anew with each seed and the "
        "same for all methods; the other samples were learnt from without."
    )
    own = [f"{share}: {note}" for share, found in zip(shares, notes) for note in found if note not in shared]
    title = f"{tables[0].title}, {tables[0].rows[0]['protocol']}: Spearman by share of labels"
    return Table(rows, title, [columns, *shared, *own])


def _add_ablations(
    found: Sweep, variants: Mapping[str, Mapping[str, str]], tables: Sequence[Table], name: Callable[[str], str]
) -> None:
    for method, own in variants.items():
        shown = {module: name(one) for module, one in own.items()}
        rows = [
            {"table": "ablation", **row, "labels": share, "method": name(method)}
            for share, table in zip(found.shares, tables)
            for row in _compared(shown, table)
        ]
        found.rows += rows
        note = (
            f"difference: Spearman less that of {next(iter(own))}, with the ends of its 95 % interval (from, to): the "
            "bootstrap over test samples within folds, and over seeds, in pairs. Not corrected for the number of rows."
        )
        found.ablation.append(_table(rows, _ABLATION, f"ablation of {name(method)}", note))


def _compared(shown: Mapping[str, str], table: Table) -> Iterator[dict[str, Any]]:
    """Rows of the variants of one method, each with its difference to the first."""
    rows = {(r["method"], r["task"], r["rule"]): r for r in table.rows}
    first = next(iter(shown.values()))
    for task, rule in dict.fromkeys((r["task"], r["rule"]) for r in table.rows):
        for module, method in shown.items():
            if row := rows.get((method, task, rule)):
                yield {**row, "module": module, **_apart(table, row, rows[first, task, rule])}


def _apart(table: Table, row: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, float | None]:
    """Difference of two rows of one task; without an interval where their rule is optimistic."""
    estimate = row["spearman"] - base["spearman"]
    if row["low"] is None:
        return {"difference": estimate, "from": None, "to": None, "p": None}
    one, other = (table.draws[row["task"], r["method"]] for r in (row, base))
    found = comparison.over_draws(one, other, estimate)
    return {"difference": estimate, "from": found.low, "to": found.high, "p": found.p}


def _add_grids(
    found: Sweep, cells: Mapping[str, Mapping[str, Mapping[str, float]]], table: Table, name: Callable[[str], str]
) -> None:
    for method, own in cells.items():
        rows = [
            {"table": "grid", **row, "labels": found.shares[0], "method": name(method), **values}
            for task in dict.fromkeys(row["task"] for row in table.rows)
            for one, values in own.items()
            for row in table.rows
            if (row["task"], row["method"]) == (task, name(one))
        ]
        found.rows += rows
        options = tuple(next(iter(own.values())))
        note = "The best of a grid is chosen by test scores: optimistic. Choose by validation, or report on other data."
        found.grid.append(_table(rows, (*_GRID, *options, *_SPEARMAN), f"grid of {name(method)}", note))


def _table(rows: Sequence[Mapping[str, Any]], shown: Sequence[str], title: str, note: str) -> Table:
    """Full rows with some columns before the others, which are not printed."""
    details = [column for column in rows[0] if column not in shown]
    ordered = [{column: row[column] for column in (*shown, *details)} for row in rows]
    return Table(ordered, title, [note], details)


def _first_runs(*tables: Table) -> dict[str, Path]:
    """Of each method the first run on the first task."""
    firsts: dict[str, Path] = {}
    for (_, method), folders in (item for table in tables for item in table.runs.items()):
        firsts.setdefault(method, folders[0])
    return firsts
