"""Which runs are of one task and which of one method, and what tasks and methods are called."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aqakit import discovery
from aqakit.errors import AqakitError
from aqakit.system import configuration
from aqakit.system.files import user_path
from aqakit.training.run import Run

UNKNOWN = "usual"
"""Protocol of a run that was trained without ``--protocol`` by an earlier version."""

_TASK = ("data", "data_options", "root", "task", "protocol")


def by_task(runs: Sequence[Run]) -> list[list[Run]]:
    """Group runs by data set, task and protocol, however the data set was given.

    Its options are compared with their defaults filled in, and its folder as it is found from here. The same data in
    two folders are one data set: runs on one fold of it have the same test samples with the same scores.
    """
    groups: list[list[Run]] = []
    for run in runs:
        known = next((group for group in groups if _of_one(run, group)), None)
        if known is None:
            groups.append([run])
        else:
            known.append(run)
    return groups


def task_names(groups: Sequence[Sequence[Run]]) -> list[tuple[str, str]]:
    """Return the data set and the full name of each task, with what tells it from others of that name in brackets."""
    runs = [group[0] for group in groups]
    return [(_named(run, runs, task=False), _named(run, runs, task=True)) for run in runs]


def by_method(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Group runs that differ only in fold and seed, under the shortest label that distinguishes them from others.

    Of two runs of one recipe, fold and seed, such as before and after a change, the label names the folders.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(json.dumps(_identity(run), sort_keys=True), []).append(run)
    identities = [json.loads(key) for key in groups]
    return {
        _label(one, identities, where): part
        for one, group in zip(identities, groups.values())
        for where, part in _by_folder(group).items()
    }


def root_of(run: Run) -> Path | None:
    """Return the folder of the data set of a run, or its manifest, as it is found from here."""
    return resolved(run.recipe.root)


def resolved(root: str | None) -> Path | None:
    """Return a path in full, so that two ways to write it are one."""
    return user_path(root).resolve() if root else None


def protocol_of(runs: Sequence[Run]) -> str:
    """Return the protocol of the runs of a task, which some of an earlier version do not know."""
    return next((run.protocol for run in runs if run.protocol != UNKNOWN), UNKNOWN)


def _of_one(run: Run, group: Sequence[Run]) -> bool:
    if _key(run) != _key(group[0]):
        return False
    alike = [other for other in group if other.protocol == run.protocol and root_of(other) == root_of(run)]
    known = {run.protocol, protocol_of(group)} - {UNKNOWN}
    return bool(alike) or (len(known) < 2 and any(_same_test(run, other) for other in group))


def _key(run: Run) -> tuple[Any, ...]:
    return run.recipe.data, _options(run), run.recipe.task


def _options(run: Run) -> str:
    """The options of the data set with their defaults, as text."""
    made = run.recipe
    try:
        samples = discovery.find("datasets", made.data).samples
        options = configuration.configure(made.data, samples, made.data_options)
    except AqakitError:  # of a plugin that is not there, or of another version
        options = dict(made.data_options)
    return json.dumps(options, sort_keys=True, default=str)


def _same_test(one: Run, other: Run) -> bool:
    return (
        one.recipe.fold == other.recipe.fold
        and one.ids("test") == other.ids("test")
        and np.array_equal(one.truth("test"), other.truth("test"))
    )


def _named(run: Run, others: Sequence[Run], *, task: bool) -> str:
    made = run.recipe
    name = " ".join(filter(None, (made.data, made.task if task else None)))
    rivals = [one for one in others if one.recipe.data == made.data and (not task or one.recipe.task == made.task)]
    more = []
    if len({root_of(one) for one in rivals}) > 1 and (root := root_of(run)):
        stems = Counter(path.stem for path in {root_of(one) for one in rivals} if path)
        more.append(root.stem if stems[root.stem] == 1 else str(root))
    if len({_options(one) for one in rivals}) > 1:
        more += [f"{name}={value}" for name, value in made.data_options.items()]
    if len({one.protocol for one in rivals}) > 1:
        more.append(run.protocol)
    return f"{name} ({', '.join(more)})" if more else name


def _by_folder(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Divide runs so that none has the fold and the seed of another, by the folders in which they are."""
    cells = Counter((run.recipe.settings.seed, run.recipe.fold) for run in runs)
    if max(cells.values()) == 1:
        return {"": list(runs)}
    places = {run.folder.resolve(): run for run in runs}
    base = Path(os.path.commonpath(places))
    parts: dict[str, list[Run]] = {}
    for place, run in places.items():
        parts.setdefault((place.relative_to(base).parts or (base.name,))[0], []).append(run)
    return {
        "/".join(filter(None, (name, deeper))): found
        for name, part in parts.items()
        for deeper, found in _by_folder(part).items()
    }


def _identity(run: Run) -> dict[str, Any]:
    """Everything that distinguishes methods, as a flat dict: ``method``, its options, run options and settings."""
    stored = run.recipe.to_json()
    flat = {**stored.pop("options"), **stored.pop("settings"), **stored}
    return {n: v for n, v in flat.items() if n not in (*_TASK, "fold", "seed", "device")}


def _label(one: Mapping[str, Any], others: Sequence[Mapping[str, Any]], where: str) -> str:
    rivals = [other for other in others if other["method"] == one["method"]]
    differing = [n for n in one if n != "method" and any(other.get(n) != one[n] for other in rivals)]
    values = [f"{n}={_word(one[n])}" for n in differing]
    values += ["transductive"] * (one["transductive"] and "transductive" not in differing)
    values += [where] if where else []
    return f"{one['method']} ({', '.join(values)})" if values else str(one["method"])


def _word(value: Any) -> str:
    if isinstance(value, list):
        return "+".join(discovery.format_spec(*v) if isinstance(v, list) else str(v) for v in value)
    return str(value)
