"""Benchmark methods with several shares of the labels, with ablations and grids of loss weights.

All shares use the same training videos, and within a share all methods keep the same labels. A method's file declares
the variants of its ablation as ``ABLATION`` and the factors of its grid as ``GRID`` (see :mod:`aqakit.methods`). Both
start from the options given for the method.
"""

from __future__ import annotations

import re
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
from aqakit.training.recipe import label_notes

EVERY = "100%"
"""The share that keeps all labels."""

_SPEARMAN = ("spearman", "low", "high")
_ABLATION = ("labels", "task", "rule", "module", *_SPEARMAN, "difference", "from", "to")
_GRID = ("labels", "task", "rule")


@dataclass
class Sweep:
    """Results of a sweep, as tables to print and rows to write.

    Attributes:
        shares: the requested shares of the labels.
        table: a row for each method, task and rule, with a Spearman column for each share; that of the benchmark if
            there is one share.
        rows: all rows in full, as in a benchmark, preceded by ``table`` (``methods``, ``ablation`` or ``grid``) and
            ``labels`` (the share). Rows of an ablation also have ``module``, rows of a grid its two options.
        ablation: a table for each method with an ablation.
        grid: a table for each method with a grid, for the first share.
        runs: for each share, the run folders by (task, method).
        first_runs: for each share, the first run of each method by its title; the variants of an ablation replace
            their method.
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
        """All tables, the table of shares first."""
        return [self.table, *self.ablation, *self.grid]

    def of(self, table: str) -> list[dict[str, Any]]:
        """Return the full rows of one kind of table."""
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
        dataset: name of the data set, with options as ``name:key=value``.
        methods: names of the methods, with options.
        labels: the shares, each in the format of :func:`aqakit.datasets.parts.partial_labels.choose_labelled`;
            ``100%`` keeps all labels.
        ablation: whether to run the variants of the methods that declare ``ABLATION``.
        grid: whether to run all combinations of the methods that declare ``GRID``, with the first share.
        out: folder for the runs, with a subfolder per share, so that a sweep can resume; if None, a temporary one.
        options: options of :func:`aqakit.evaluation.benchmark.benchmark`.

    Raises:
        OptionError: a share is invalid or repeated, or no method declares an ablation or grid that was requested.
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
    seen: dict[str, str] = {}
    for share in shares:
        try:
            partial_labels.check_share(share)
        except ValueError as error:
            raise OptionError(f"labels: {share!r} {error}") from None
        number = f"{float(share[:-1])}%" if re.fullmatch(r"[\d.]+%", share) else share
        if number in seen:
            raise OptionError(f"labels: {seen[number]} and {share} are the same share; give each once")
        seen[number] = share


def _declaring(what: str, methods: Sequence[str]) -> list[str]:
    """Return the requested methods whose files declare ``what``.

    Raises:
        OptionError: none declares it.
    """
    found = [m for m in methods if hasattr(_module(m), what)]
    if not found:
        known = [name for name in discovery.names("methods") if hasattr(discovery.find("methods", name), what)]
        raise OptionError(f"--{what.lower()}: no method asked for declares one; these do: {', '.join(known)}")
    return found


def _module(method: str) -> Any:
    return discovery.find("methods", discovery.parse_spec(method)[0])


def _with(method: str, changed: Mapping[str, Any]) -> str:
    """Return the method's name and options with some options changed; unchanged if they have these values already."""
    name, given = discovery.parse_spec(method)
    return discovery.format_spec(name, given | {option: f"{value}" for option, value in changed.items()})


def _variants(method: str) -> dict[str, str]:
    """Map the name of each variant to the method with its options."""
    return {name: _with(method, changed) for name, changed in _module(method).ABLATION.items()}


def _cells(method: str) -> dict[str, dict[str, float]]:
    """Map the method with the options of each combination to those options.

    Raises:
        OptionError: an option is 0, so it has no multiples.
    """
    module = _module(method)
    name, given = discovery.parse_spec(method)
    values = configuration.configure(f"method {name}", module.build, given)
    if zero := [option for option in module.GRID if not values[option]]:
        raise OptionError(f"--grid: {method} has {zero[0]}=0, which has no multiples; give it another value")
    multiples = [[float(f"{values[o] * factor:.4g}") for factor in factors] for o, factors in module.GRID.items()]
    combinations = [dict(zip(module.GRID, cell)) for cell in product(*multiples)]
    return {_with(method, {o: f"{value:g}" for o, value in cell.items()}): cell for cell in combinations}


def _full(shares: Sequence[str], tables: Sequence[Table]) -> Iterator[dict[str, Any]]:
    for share, table in zip(shares, tables):
        yield from ({"table": "methods", **row, "labels": share} for row in table.rows)


def _summary(shares: Sequence[str], tables: Sequence[Table]) -> Table:
    """Return the table of methods × shares."""
    if len(shares) == 1:
        return tables[0]
    cells = [{(r["method"], r["task"], r["rule"]): r["spearman"] for r in table.rows} for table in tables]
    rows = [
        {"method": method, "task": task, "rule": rule}
        | {share: own.get((method, task, rule)) for share, own in zip(shares, cells)}
        for method, task, rule in dict.fromkeys(key for own in cells for key in own)
    ]
    said = {sentence for share in shares for sentence in label_notes(share, transductive=False)}
    notes = [[note for note in table.notes if note not in said] for table in tables]
    shared = [note for note in notes[0] if all(note in other for other in notes)]
    columns = (
        "columns: the share of the scored training samples that kept their labels, drawn again for each seed and the "
        "same for all methods; the other samples were used without labels."
    )
    own = [f"{share}: {note}" for share, found in zip(shares, notes) for note in found if note not in shared]
    title = f"{tables[0].title}, {tables[0].rows[0]['protocol']}: Spearman by share of labels"
    return Table(rows, title, [columns, *shared, *own], metrics=dict.fromkeys(shares, "spearman"))


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
            f"difference: Spearman minus that of {next(iter(own))}, with its 95 % interval (from, to): paired "
            "bootstrap of what low and high resample. Not corrected for the number of rows."
        )
        found.ablation.append(_table(rows, _ABLATION, f"ablation of {name(method)}", note))


def _compared(shown: Mapping[str, str], table: Table) -> Iterator[dict[str, Any]]:
    """Yield the rows of the variants of one method, each with its difference from the first."""
    rows = {(r["method"], r["task"], r["rule"]): r for r in table.rows}
    first = next(iter(shown.values()))
    for task, rule in dict.fromkeys((r["task"], r["rule"]) for r in table.rows):
        for module, method in shown.items():
            if row := rows.get((method, task, rule)):
                yield {**row, "module": module, **_apart(table, row, rows[first, task, rule])}


def _apart(table: Table, row: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the difference of two rows of one task; without an interval if their rule is optimistic."""
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
    """Make a table of full rows, with the ``shown`` columns first; the others are not printed."""
    details = [column for column in rows[0] if column not in shown]
    ordered = [{column: row[column] for column in (*shown, *details)} for row in rows]
    return Table(ordered, title, [note], details)


def _first_runs(*tables: Table) -> dict[str, Path]:
    """Return the first run of each method, on the first task."""
    firsts: dict[str, Path] = {}
    for (_, method), folders in (item for table in tables for item in table.runs.items()):
        firsts.setdefault(method, folders[0])
    return firsts
