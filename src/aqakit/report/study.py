"""Build the contents of a report from run folders: results, floors, notable cases and maps of the data.

Predictions come from the run folders alone. Floors, pictures, the map of the features and the health of the data also
need the data set; if it is not available, the report says so and leaves them out.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from aqakit import discovery
from aqakit.errors import DataError, OptionError, RunError
from aqakit.evaluation import predictions
from aqakit.evaluation.results import FoldResult, MethodResult
from aqakit.metrics.accuracy import spearman
from aqakit.report import grouping
from aqakit.report.content import Case, Study, TaskResult
from aqakit.report.data_sections import add_data_sections
from aqakit.system import configuration
from aqakit.training import recipe
from aqakit.training.recipe import Recipe, label_notes
from aqakit.training.run import Run
from aqakit.training.settings import Settings
from aqakit.training.trust import failures
from aqakit.types import ScoreScale

CASES = 3
"""Maximum number of samples shown for each method and reason."""

SURPRISE = 2.576
"""Standard deviations of a normal distribution beyond which a true score is surprising: outside the 99 % interval."""

_CARDS = 60  # approximate total number of samples shown: each has pictures


def build_study(folders: Sequence[Path], *, data: bool = True) -> Study:
    """Collect the results of the runs in these folders, and in folders below them, by task.

    Args:
        folders: folders of runs or of a benchmark; or instead CSV files of predictions, one for each method.
        data: whether to open the data set for the sections that need it. Features that are not in the cache are then
            computed.

    Raises:
        RunError: there is no finished run with test samples, or the seeds of a method differ in them.
    """
    files = [path for path in folders if path.is_file()]
    if files:
        if len(files) < len(folders):
            raise OptionError("files of predictions and run folders cannot be compared in one report; make two")
        return _predicted(files)
    runs, notes = _open(folders)
    groups = grouping.by_task(runs)
    tasks = [grouping.by_method(group) for group in groups]
    each, names = _cards(sum(map(len, tasks))), grouping.task_names(groups)
    return Study(tuple(_task(task, name, each, data) for task, name in zip(tasks, names)), tuple(notes))


def _predicted(files: Sequence[Path]) -> Study:
    """Results of prediction files for one task; the scale is the range of the true scores.

    Of files with a split called ``test``, such as a run's, only that one counts; else each split or fold does.
    """
    methods, notes = [], list[str]()
    for file in files:
        parts = predictions.read(file)
        tested = [part for part in parts if part.part == "test"]
        if 0 < len(tested) < len(parts):
            others = [part.part or "no split" for part in parts if part.part != "test"]
            notes.append(f"{file}: only the split test was judged; left out: {', '.join(others)}")
        folds = [
            FoldResult(
                p.part or "all", 0, tuple(p.ids), p.true, p.distribution, source=str(file), groups=tuple(p.groups)
            )
            for p in tested or parts
        ]
        label = file.stem if sum(other.stem == file.stem for other in files) == 1 else str(file)
        methods.append(MethodResult(label, tuple(folds), "–"))
    true = np.concatenate([fold.true for method in methods for fold in method.folds])
    low, high = float(true.min()), float(true.max())
    if low == high:
        raise DataError(f"{files[0]}: all true scores are {low:g}, so nothing can be ranked")
    worst = tuple(case for method in methods for case in cases(method, _cards(len(files))))
    task = TaskResult("predictions", "as in the files", ScoreScale(low, high), high - low, tuple(methods), worst)
    return Study((task,), tuple(notes))


def cases(method: MethodResult, count: int) -> list[Case]:
    """Return the ``count`` largest errors of a method, and the most surprising true scores that are not among them.

    A sample appears once, with the fold and seed where it is worst. A true score is surprising outside the 99 %
    interval of its prediction; point predictions state no uncertainty, so they have no surprising scores.
    """
    points = method.points
    error = np.abs(points.mean - points.true)
    chosen: dict[str, tuple[int, str]] = {}
    surprise = np.where(points.surprise > SURPRISE, points.surprise, np.nan)
    for why, badness in (("largest error", error), ("most surprising", surprise)):
        order = [int(i) for i in np.argsort(-badness, kind="stable") if not np.isnan(badness[i])]
        fresh = dict[str, int]()
        for i in order:
            if points.id[i] not in chosen:
                fresh.setdefault(points.id[i], i)
        chosen |= {name: (i, why) for name, i in list(fresh.items())[:count]}
    return [_case(method, i, why) for i, why in chosen.values()]


def _case(method: MethodResult, i: int, why: str) -> Case:
    p = method.points
    true, mean, low, high, surprise = (float(column[i]) for column in (p.true, p.mean, p.low, p.high, p.surprise))
    return Case(method.label, p.fold[i], p.seed[i], p.id[i], why, true, mean, low, high, surprise)


def command(made: Recipe, out: str) -> str:
    """Return the ``aqakit train`` command for this recipe; options with their default value are left out."""
    module = discovery.find("methods", made.method)
    given = {f.name: getattr(made, f.name) for f in fields(made)}
    words = ["aqakit", "train", made.method, "--data", discovery.format_spec(made.data, made.data_options)]
    words += ["--root", made.root] if made.root else []
    for name, options in made.backbones:
        words += ["--backbone", discovery.format_spec(name, options)]
    settings = {f.name: getattr(made.settings, f.name) for f in fields(made.settings)}
    for function, values in ((module.build, made.options), (recipe.run_options, given), (Settings, settings)):
        words += _flags(function, values)
    return shlex.join([*words, "--out", out])


def _flags(function: Callable[..., Any], values: Mapping[str, Any]) -> Iterator[str]:
    for option in configuration.options(function):
        if option.name not in values:  # the run is older than the option
            continue
        value, flag = values[option.name], option.name.replace("_", "-")
        plain = tuple(value) if isinstance(value, list) else value
        if plain == option.default:
            continue
        if isinstance(plain, bool):
            yield f"--{flag}" if plain else f"--no-{flag}"
        else:
            yield from (f"--{flag}", ",".join(map(str, plain)) if isinstance(plain, tuple) else str(plain))


def _open(folders: Sequence[Path]) -> tuple[list[Run], list[str]]:
    """Open the finished runs with test samples; also return a note for each run that was left out."""
    runs, notes = [], []
    for folder in {found.resolve(): found for given in folders for found in _below(given)}.values():
        try:
            run = Run.load(folder)
        except RunError as error:
            if folder in folders:
                raise
            notes.append(f"Left out: {error}.")
            continue
        if why := _unfit(run):
            notes.append(f"Left out: {folder} {why}.")
        else:
            runs.append(run)
    if not runs:
        raise RunError(" ".join(notes) or "no run was given")
    return runs, notes


def _unfit(run: Run) -> str:
    """Why a report cannot compare a run with others by its errors; empty if it can."""
    if "test" not in run.splits():
        return "was trained on every scored sample, so it has no test samples"
    if run.rated or np.isnan(run.truth("test")).any():
        return "has no test scores in its own units; aqakit evaluate judges it by pairs"
    return ""


def _below(folder: Path) -> list[Path]:
    if (folder / "run.json").exists():
        return [folder]
    found = sorted(file.parent for file in folder.rglob("run.json"))
    if not found:
        raise RunError(f"{folder}: there is no run.json in it or below it; give the folder of a run or of a benchmark")
    return found


def _cards(methods: int) -> int:
    """Number of samples shown for each method and reason, so that the file stays small."""
    return max(1, min(CASES, _CARDS // (2 * methods)))


def _task(groups: Mapping[str, Sequence[Run]], names: tuple[str, str], each: int, data: bool) -> TaskResult:
    """Return the result of one task from the runs of each method; ``names`` are those of its data set and of itself."""
    methods = tuple(_method(label, group) for label, group in groups.items())
    runs = [run for group in groups.values() for run in group]
    scale = runs[0].labels.scale
    result = TaskResult(
        name=names[1],
        data=names[0],
        protocol=grouping.protocol_of(runs),
        scale=scale,
        span=scale.span,
        methods=methods,
        cases=tuple(case for method in methods for case in cases(method, each)),
        notes=(*_notes(runs), *(sentence for label, group in groups.items() for sentence in _trust(label, group))),
    )
    return add_data_sections(result, groups) if data else result


def _method(label: str, runs: Sequence[Run]) -> MethodResult:
    ordered = sorted(runs, key=lambda run: (run.recipe.settings.seed, str(run.recipe.fold)))
    ids: dict[str, list[str]] = {}
    for run in ordered:
        if ids.setdefault(str(run.recipe.fold), run.ids("test")) != run.ids("test"):
            raise RunError(f"{run.folder}: tests on other samples than another seed of {label}; train it again")
    if len({len(run.description["losses"]) for run in ordered}) > 1:
        raise RunError(f"{label}: its runs stopped after different numbers of epochs; train them without --patience")
    settings = runs[0].recipe.settings
    wanted = {"held-out": "held-out", "best-validation": "validation"}.get(settings.select)
    rule = settings.select if wanted in runs[0].splits() else "last"
    return MethodResult(label, tuple(map(_fold, ordered)), rule)


def _fold(run: Run) -> FoldResult:
    keep = ("recipe", "versions", "fingerprint", "failures", "epoch")
    return FoldResult(
        fold=str(run.recipe.fold),
        seed=run.recipe.settings.seed,
        ids=tuple(run.ids("test")),
        true=run.truth("test"),
        answer=run.prediction("test"),
        recalibrated=run.prediction("test", recalibrated=True) if run.recalibration else None,
        curves={split: _curve(run, split) for split in run.splits()},
        epochs=np.array(run.evaluated("test")),
        stds=np.stack([answer.std.numpy() for answer in run.epochs("test")]),
        losses=np.array([sum(terms.values()) for terms in run.description["losses"]]),
        facts={name: run.description[name] for name in keep if name in run.description},
        command=command(run.recipe, str(run.folder)),
        source=str(run.folder),
        groups=tuple(run.groups("test")),
    )


def _curve(run: Run, split: str) -> np.ndarray:
    means = np.stack([answer.mean.numpy() for answer in run.epochs(split)])
    return np.nan_to_num(spearman(run.truth(split)[None], means))


def _notes(runs: Sequence[Run]) -> tuple[str, ...]:
    kinds = dict.fromkeys((run.recipe.labels, run.recipe.transductive) for run in runs)
    seen = [sentence for kind in kinds for sentence in label_notes(*kind)]
    failures = {name: why for run in runs for name, why in run.description.get("failures", {}).items()}
    doubts = {name: why for run in runs for name, why in run.description.get("doubts", {}).items()}
    seen += [f"{name} could not be read and is not included here: {why}" for name, why in failures.items()]
    return (*seen, *(f"{name}: {sentence}" for name, sentence in doubts.items()))


def _trust(label: str, runs: Sequence[Run]) -> Iterator[str]:
    """Say how far the scores of a method can be trusted, over all its runs."""
    known = [run.trust for run in runs if run.trust]
    worthless = sum(not trust.worth for trust in known)
    if len(known) > 1:
        for split in dict.fromkeys(trust.split for trust in known):
            same = [trust for trust in known if trust.split == split]
            total = {n: sum(getattr(trust, n) for trust in same) for n in ("samples", "held")}
            yield f"{label}: {replace(same[0], worth=True, **total).sentences()[0]}."
        yield from (f"{label}: {sentence}." for sentence in failures(known))
        if worthless:
            yield f"{label}: {worthless} of {len(known)} runs are no better than guessing the average."
    else:
        yield from (f"{label}: {sentence}." for trust in known for sentence in trust.sentences())
