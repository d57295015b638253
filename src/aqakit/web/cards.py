"""What a run is, in words for its visitors and without the server's folders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from aqakit import discovery
from aqakit.errors import OptionError
from aqakit.report.study import command
from aqakit.scores.rules import RULES
from aqakit.training.recipe import Recipe
from aqakit.training.run import Run
from aqakit.web.learning import subject
from aqakit.web.models import RunCard
from aqakit.web.motion import layout_of
from aqakit.web.poses import finder

READ = ("video", "signal", "skeleton")


def card(name: str, path: Path) -> RunCard:
    """Load a run to check it, and return its public description."""
    run = Run.load(path)
    if (reads := run.only_input()) not in READ:
        raise OptionError(f"{path}: this run reads {reads}; the page scores videos, tables of motion and skeletons")
    recipe, scale = run.recipe, run.labels.scale
    return RunCard(
        name=name,
        reads=reads,
        layout=layout_of(run),
        finds_joints=finder(run) is not None,
        title=_title(run),
        trust=run.trust.sentences() if run.trust else [],
        method=recipe.method,
        summary=discovery.summary(discovery.find("methods", recipe.method)),
        data=recipe.data,
        unit=scale.unit,
        low=scale.low,
        high=scale.high,
        **_declared(recipe, scale.low, scale.high),
        **_ruled(run.labels.rule),
        needs_difficulty=recipe.target == "total",
        recalibrated=run.recalibration is not None,
        command=command(_without_folders(recipe), name),
        versions=run.description["versions"],
        fingerprint=run.description["fingerprint"],
    )


def _title(run: Run) -> str:
    """What a run is: its data, how it learns, from how many samples, and how far it is off.

    Its folder's name says none of it, and two runs may differ in just these.
    """
    recipe, known = run.recipe, run.training_recordings
    data = subject(recipe.data, recipe.root)
    parts = [f"{data}, {recipe.task}" if recipe.task else data, recipe.method.replace("_", "-")]
    if known:
        parts.append(f"learnt from {len(known)} recordings")
    if run.trust:
        off = f"off by {run.trust.mae:.1f} {run.labels.scale.unit} on average"
        parts.append(off if run.trust.worth else "no better than guessing the average")
    return " · ".join(parts)


def _declared(recipe: Recipe, low: float, high: float) -> dict[str, Any]:
    """The ends of the scale that are those of the sport, and not those of the scores that were learnt from."""
    fixed = discovery.find("datasets", recipe.data).SCALE is not None
    ends = {"floor": ("low", low), "ceiling": ("high", high)}
    return {name: end for name, (option, end) in ends.items() if fixed or option in recipe.data_options}


def _ruled(name: str | None) -> dict[str, Any]:
    if name is None:
        return {}
    rule = RULES[name]
    return {"rule": name, "marks": list(rule.judges), "rule_needs_difficulty": rule.difficulty}


def _without_folders(recipe: Recipe) -> Recipe:
    """Reduce files to their names, so that visitors do not learn where they are on the server."""
    backbones = tuple((name, {key: _name(v) for key, v in given.items()}) for name, given in recipe.backbones)
    return replace(recipe, root=_name(recipe.root), calibration=_name(recipe.calibration), backbones=backbones)


def _name(value: Any) -> Any:
    file = Path(str(value))
    return file.name if file.is_absolute() or file.exists() else value
