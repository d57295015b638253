"""Collect result rows of run folders and of the JSON of benchmarks, for one table of several sources.

Rows are comparable only if they have one rule, and for each data set one protocol; anything else is an error that names
the files. Letters of a paired comparison hold within one source, so they are dropped where sources meet. A method that
several sources have, such as before and after a change, is named by them.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aqakit import discovery
from aqakit.errors import DataError, OptionError
from aqakit.report.grouping import resolved
from aqakit.report.study import build_study

_NEEDED = ("method", "task", "rule")
_FLOORS = ("floor:", "ceiling:")
_RUNS = "runs"


@dataclass(frozen=True)
class Result:
    """One row of results.

    Attributes:
        source: the file that it is from; ``runs`` of run folders.
        where: data set, task and, if not all labels were kept, their share; and the folder, if there are several.
        row: its columns, as in a benchmark.
    """

    source: str
    where: str
    row: Mapping[str, Any]

    @property
    def method(self) -> str:
        """The name of the method."""
        return str(self.row["method"])

    @property
    def floor(self) -> bool:
        """Whether it is a floor or a ceiling, which has no rule."""
        return self.method.startswith(_FLOORS)

    @property
    def rule(self) -> str:
        """The name of the rule."""
        return str(self.row["rule"]).removesuffix(" (optimistic)")


def collect(
    paths: Sequence[Path], *, rule: str | None = None, protocol: str | None = None
) -> tuple[list[Result], list[str]]:
    """Return the rows of several sources that can stand in one table, and notes on what was left out.

    Args:
        paths: folders of runs or benchmarks, and JSON files as ``benchmark`` and ``reproduce`` write them.
        rule: take only rows of this rule, and floors.
        protocol: take only rows of this protocol.

    Raises:
        DataError: a file is no JSON of results.
        RunError: a folder has no finished run with test samples.
        OptionError: a source is given twice, or has a method twice; rules, protocols or floors do not agree.
    """
    if twice := [path for k, path in enumerate(paths) if path.resolve() in [p.resolve() for p in paths[:k]]]:
        raise OptionError(f"{twice[0]} is given twice")
    files = [path for path in paths if not path.is_dir()]
    found, notes = [one for file in files for one in read(file)], list[str]()
    if folders := [path for path in paths if path.is_dir()]:
        runs, notes = _of_runs(folders)
        found += runs
    found = _chosen(found, "rule", rule, lambda one: one.rule, lambda one: one.floor)
    found = _chosen(found, "protocol", protocol, lambda one: str(one.row.get("protocol")), lambda one: False)
    found = _by_root(found)
    _check_rules(found)
    _check_protocols(found)
    return _apart(_told_apart(_once(found))), notes


def read(file: Path) -> list[Result]:
    """Return the rows of a JSON file that ``aqakit benchmark`` or ``aqakit reproduce`` wrote.

    Raises:
        DataError: it is something else.
    """
    rows = _json(file)
    kept = [(number, row) for number, row in enumerate(rows, start=1) if row.get("table", "methods") == "methods"]
    return [_checked(file, number, row) for number, row in kept]


def _json(file: Path) -> list[dict[str, Any]]:
    try:
        rows = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{file}: no such file or folder") from None
    except OSError as error:
        raise DataError(f"{file}: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise DataError(f"{file}: is not JSON; give what aqakit benchmark --json wrote, or a run folder") from None
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{file}: is not a list of result rows; give what aqakit benchmark --json wrote")
    return rows


def _checked(file: Path, number: int, row: dict[str, Any]) -> Result:
    if "intervals" in row and "method" not in row:
        raise DataError(f"{file}: is of aqakit evaluate, which does not name the method; give the run folder instead")
    if missing := [name for name in _NEEDED if not isinstance(row.get(name), str)]:
        raise DataError(f"{file}: row {number} has no {missing[0]}, so it is not of a benchmark")
    if "ours" in row and "spearman" not in row:  # of a reproduction
        row = {**row, "spearman": row["ours"]}
    numbers = ("spearman", "low", "high", "mae", "samples", "seeds", "members")
    for name in numbers:
        value = row.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise DataError(f"{file}: row {number}: {name} is {value!r}, which is no number")
    return Result(str(file), _where(row.get("data"), row["task"], row.get("labels")), row)


def _where(data: Any, task: Any, labels: Any) -> str:
    share = labels if labels != "100%" else None
    return " ".join(dict.fromkeys(str(part) for part in (data, task, share) if part))


def _of_runs(folders: Sequence[Path]) -> tuple[list[Result], list[str]]:
    study, found = build_study(folders, data=False), []
    for task in study.tasks:
        for method in task.compared:
            made: Mapping[str, Any] = method.folds[0].facts["recipe"]
            root = task.compared[0].folds[0].facts["recipe"]["root"]  # of several, where the data are the same
            calibrated = method.recalibrated and made["members"] > 1  # as in a benchmark
            row = method.row(task.span, recalibrated=calibrated)
            row |= {"data": made["data"], "task": made["task"] or made["data"], "labels": made["labels"], "root": root}
            row |= {"protocol": task.protocol, "members": made["members"], "rule": made["settings"]["select"]}
            row["group"] = task.letters.get(method.label)
            found.append(Result(_RUNS, _where(row["data"], row["task"], row["labels"]), row))
    return found, list(study.notes)


def _chosen(
    found: list[Result], name: str, wanted: str | None, of: Callable[[Result], str], always: Callable[[Result], bool]
) -> list[Result]:
    if wanted is None:
        return found
    known = sorted({of(one) for one in found if not always(one)})
    if wanted not in known:
        raise OptionError(f"--{name}: no row has the {name} {wanted!r}{discovery.nearest(wanted, known)}")
    return [one for one in found if always(one) or of(one) == wanted]


def _check_rules(found: Sequence[Result]) -> None:
    _check_one(((one.rule, one) for one in found if not one.floor), "rule", "")


def _check_protocols(found: Sequence[Result]) -> None:
    for where in dict.fromkeys(one.where for one in found):
        _check_one(((str(one.row.get("protocol")), one) for one in found if one.where == where), "protocol", where)


def _check_one(named: Iterable[tuple[str, Result]], name: str, where: str) -> None:
    first: dict[str, Result] = {}
    for value, one in named:
        first.setdefault(value, one)
    if len(first) > 1:
        listed = " and ".join(f"{value} ({one.source})" for value, one in first.items())
        place = f"{where}: " if where else ""
        raise OptionError(f"{place}{name}s are mixed: {listed}; --{name} NAME takes the rows of one")


def _by_root(found: Sequence[Result]) -> list[Result]:
    """Name the folder or the manifest behind a data set that is there from several; of older rows, it is unknown."""
    roots: dict[str, set[Path]] = {}
    for one in found:
        if root := resolved(one.row.get("root")):
            roots.setdefault(str(one.row.get("data")), set()).add(root)
    return [_in_place(one, roots.get(str(one.row.get("data")), set())) for one in found]


def _in_place(one: Result, roots: Collection[Path]) -> Result:
    root = resolved(one.row.get("root"))
    if root is None or len(roots) < 2:
        return one
    alike = [other for other in roots if other.stem == root.stem]
    return replace(one, where=f"{one.where} ({root.stem if len(alike) == 1 else root})")


def _once(found: Sequence[Result]) -> list[Result]:
    """Return the rows with those once that several sources agree on."""
    first: dict[tuple[str, str], list[Result]] = {}
    for one in found:
        known = first.setdefault((one.where, one.method), [])
        if any(one.source == other.source for other in known):
            raise OptionError(f"{one.source}: {one.method} on {one.where} is in it twice; leave one out")
        if any(_agree(one, other) for other in known):
            continue
        if one.floor and known:
            raise OptionError(
                f"{one.method} on {one.where} is not the same in {known[0].source} and in {one.source}, which differ "
                "in data or features; leave one out"
            )
        known.append(one)
    return [one for known in first.values() for one in known]


def _agree(one: Result, other: Result) -> bool:
    names = ("spearman",) if one.floor else ("spearman", "mae", "samples", "seeds")
    pairs = [(one.row.get(name), other.row.get(name)) for name in names]
    return all(a == b if a is None or b is None else math.isclose(a, b, rel_tol=1e-6) for a, b in pairs)


def _told_apart(found: Sequence[Result]) -> list[Result]:
    """Name the source behind a method that is there from several."""
    several = {key for key, count in Counter((one.where, one.method) for one in found).items() if count > 1}
    stems = Counter(Path(source).stem for source in {one.source for one in found})
    named = []
    for one in found:
        if (one.where, one.method) in several:
            stem = Path(one.source).stem
            one = replace(one, row={**one.row, "method": f"{one.method} ({stem if stems[stem] == 1 else one.source})"})
        named.append(one)
    return named


def _apart(found: Sequence[Result]) -> list[Result]:
    """Drop the letters where several sources meet."""
    sources: dict[str, set[str]] = {}
    for one in found:
        sources.setdefault(one.where, set()).add(one.source)
    several = {where for where, names in sources.items() if len(names) > 1}
    return [Result(one.source, one.where, {**one.row, "group": None}) if one.where in several else one for one in found]
