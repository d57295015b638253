"""The process that trains a run anew from what the desk knows, and compares it with the old one.

It takes the run and the videos as JSON on the command line, writes a JSON line for each step, and may be killed at any
time: the new run counts only when it and the comparison are complete.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from aqakit.datasets.parts.pairs import Pair
from aqakit.errors import AqakitError, DataError
from aqakit.system.files import default_cache, write_text
from aqakit.training import run_files
from aqakit.training.data import prepare
from aqakit.training.run import Run
from aqakit.training.train import execute
from aqakit.types import Sample
from aqakit.web import learning
from aqakit.web.learning import COMPARISON, family, subject
from aqakit.web.limits import confine
from aqakit.web.motion import suffix_of

PAIRS = "pairs.csv"

LINKS = "recordings"
"""Folder of links to recordings of motion, whose formats are told apart by the endings of their names."""

Say = Callable[..., None]


def improve(task: dict[str, Any], say: Say) -> dict[str, Any]:
    """Train on what the desk knows, and compare.

    Args:
        task: ``run``, the folder of the old run; ``out``, a new folder; ``name``, of the new run's data; ``rows`` and
            ``videos``, what the desk knows and where the files are; ``pairs``, (better, worse, weight) by id.
        say: is told the steps.

    Returns:
        The comparison.
    """
    old = Run.load(task["run"])
    learning.check(old)
    kind, folder = old.only_input(), Path(task["videos"])
    known = [learning.sample_of(row, folder / row["id"], kind) for row in task["rows"]]
    links = {} if kind == "video" else {row["id"]: f"{row['id']}{suffix_of(row['name'])}" for row in task["rows"]}
    judged = [Pair(*pair) for pair in task["pairs"]]
    return learn(old, known, judged, Path(task["out"]), task["name"], say, links)


def _linked(sample: Sample, folder: Path, links: Mapping[str, str]) -> Sample:
    """Link the recording of a sample; also one that an earlier new run, which may be deleted, has linked."""
    if len(sample.sources) != 1:
        return sample
    ((kind, path),) = sample.sources.items()
    earlier = path.is_symlink() and path.parent.name == LINKS
    if not earlier and sample.id not in links:
        return sample
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / (path.name if earlier else links[sample.id])
    link.symlink_to(path.resolve())
    return replace(sample, sources={kind: link})


def learn(
    old: Run,
    known: Sequence[Sample],
    judged: Sequence[Pair],
    out: Path,
    name: str,
    say: Say = lambda **_: None,
    links: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """Train a new run, in the folder ``run`` of ``out``, and compare it with the old one.

    Args:
        old: the run to improve.
        known: recordings of the desk, the newest first; with a score if a true one was told.
        judged: which of two of them was better.
        out: a new folder.
        name: of the new run.
        say: is told the steps.
        links: names, by id, under which recordings that have no ending of their own are linked.

    Returns:
        The comparison, which is also in the file :data:`COMPARISON` of the new folder.
    """
    say(stage="reading the recordings")
    learnt = learning.lesson(old, known, judged)
    learnt = replace(learnt, samples=[_linked(sample, out / LINKS, links) for sample in learnt.samples])
    manifest, pairs = out / f"{_stem(old)}{name.removeprefix(family(name))}.csv", out / PAIRS
    out.mkdir(parents=True, exist_ok=True)
    write_text(manifest, learning.manifest_csv(learnt, old.labels))
    if learnt.pairs:
        write_text(pairs, run_files.pairs_csv(learnt.pairs))
    recipe = learning.recipe_of(old, learnt, manifest, pairs)
    epochs = recipe.settings.epochs
    prepared = prepare(recipe, default_cache())
    if learnt.pairs and not learning.is_enough(prepared.split(recipe)):
        said = f"{len(learnt.pairs)} judgements are too few to learn from while some are held out; judge more pairs"
        if not learnt.added:
            raise DataError(said)
        learnt = replace(learnt, pairs=(), notes=[*learnt.notes, said])
        recipe = learning.recipe_of(old, learnt, manifest, pairs)
        prepared = prepare(recipe, default_cache())
    say(stage="training", done=0, total=epochs)
    new = execute(recipe, prepared, out / "run", report=lambda k, _: say(stage="training", done=k + 1, total=epochs))
    say(stage="comparing")
    found = {
        **learning.compare(old, new, learnt),
        "learnt": len(learnt.added),
        "pairs": round(sum(p.weight for p in learnt.pairs)),
    }
    found |= {"notes": list(learnt.notes), "unit": old.labels.scale.unit}
    write_text(out / COMPARISON, json.dumps(found))
    return found


def _stem(run: Run) -> str:
    """The name of a run's data, by which its visitors know it."""
    return family(subject(run.recipe.data, run.recipe.root))


def main(task: dict[str, Any]) -> None:
    """Improve with low priority and bounded memory; an error becomes a sentence."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(**message: Any) -> None:
        out.write(json.dumps(message) + "\n")
        out.flush()

    confine(task["memory"])
    try:
        say(finished=improve(task, say))
    except AqakitError as error:
        say(problem=str(error).replace(task["videos"], "").replace(task["run"], "the run"))
    except BrokenPipeError:  # the server is gone
        os._exit(0)
    except Exception as error:  # whatever a library raises
        traceback.print_exc()
        say(problem=f"training failed ({type(error).__name__}); see the server's log")


if __name__ == "__main__":
    main(json.loads(sys.stdin.readline()))
