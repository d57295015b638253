"""A self-contained HTML file: how methods compare, how certain they are, where they fail, and how to rerun them.

It runs no script and fetches nothing; its content-security policy forbids both. All numbers that it shows are also
included as JSON, in the element ``report-data``.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import chain
from pathlib import Path
from typing import Any

from aqakit.errors import OptionError
from aqakit.evaluation.results import FoldResult, MethodResult
from aqakit.evaluation.selection import RULES
from aqakit.metrics.bootstrap import resampled_units
from aqakit.metrics.summary import TWO_VALUES, two_value_notes
from aqakit.report import calibration, curves, document, gallery, summing_up, svg, training_curves
from aqakit.report.columns import TITLES
from aqakit.report.content import Case, Study, TaskResult
from aqakit.report.gallery import Shown
from aqakit.report.tables import Row, text
from aqakit.system.output import write_output

_TITLES = TITLES | {
    "intervals": "uncertainty",
    "interval": "95 % interval",
    "rule": "epoch",
    "samples": "test samples",
}
_COLUMNS = {
    name: _TITLES.get(name, name)
    for name in (
        "method", "intervals", "spearman", "interval", "group", "kendall", "mae", "relative_l2", "accuracy", "auc",
        "crps", "nll", "coverage_90", "width_90", "ece", "error_spread", "rule", "seeds", "folds", "samples",
    )
}  # fmt: skip

_FLOORS = " Grey rows are floors, which hardly use the recording: a method below them has learnt nothing of quality."


def write(study: Study, file: Path, *, folder: Path | None = None) -> None:
    """Write the report, and its figures as PDF, PNG and SVG if a folder is given.

    Raises:
        OptionError: the folder of the file does not exist.
    """
    if not file.parent.is_dir():
        raise OptionError(f"{file}: there is no folder {file.parent} to write to")
    with svg.style():
        drawn, together = gallery.draw(study), gallery.training(study)
        write_output(file, page(study, drawn, together))
        if folder:
            gallery.save(chain(*drawn, together), folder)


def page(study: Study, drawn: Sequence[Sequence[Shown]], together: Sequence[Shown] = ()) -> str:
    """Return the whole page; ``drawn`` holds the figures of each task, ``together`` those of all tasks."""
    title = f"Report: {', '.join(task.name for task in study.tasks)}"
    body = [f"<header><h1>{escape(title)}</h1>{document.paragraphs(study.notes)}</header>"]
    body.append(f"<section><h2>Summary</h2>{''.join(map(_summary, study.tasks))}</section>")
    if len(study.tasks) > 1:
        links = (f'<a href="#task-{n}">{escape(t.name)}</a>' for n, t in enumerate(study.tasks, start=1))
        body.append(f"<nav>{' · '.join(links)}</nav>{_over_tasks(study)}")
    for number, (task, shown) in enumerate(zip(study.tasks, drawn, strict=True), start=1):
        body.append(f'<section id="task-{number}">{_heading(study, task)}{"".join(_task(task, shown))}</section>')
    if together:
        pictures = "".join(map(_figure, together))
        body.append(f"<section><h2>Training</h2><div class={_grid(study)}>{pictures}</div></section>")
    body += [_rerun(study), _glossary(), document.embedded("report-data", data(study))]
    return document.page(title, "".join(body))


def data(study: Study) -> dict[str, Any]:
    """Return all numbers of the report as JSON values; non-finite numbers are null."""
    found = [
        {
            "task": task.name,
            "protocol": task.protocol,
            "scale": [task.scale.low, task.scale.high],
            "unit": task.scale.unit,
            "span": task.span,
            "rows": [row for method in task.methods for row in method.rows(task.span)],
            "groups": task.letters,
            "rules": [row for method in task.compared for row in curves.by_rule(method)],
            "predictions": {method.label: method.points._asdict() for method in task.compared},
            "epochs": {m.label: m.epochs + 1 for m in task.compared},
            "curves": {m.label: {s: m.curve(s) for s in ("test", "validation")} for m in task.compared},
            "training": training_curves.data(task),
            "runs": [{"command": f.command, **f.facts} for method in task.compared for f in method.folds],
        }
        for task in study.tasks
    ]
    cleaned: dict[str, Any] = _plain({"tasks": found, "over_tasks": study.over_tasks(), "notes": study.notes})
    return cleaned


def _over_tasks(study: Study) -> str:
    rows = study.over_tasks()
    columns = {"data": "data set", "tasks": "tasks", "method": "method", "spearman": "Spearman ρ, Fisher-z mean"}
    return f"<h2>Over the tasks of a data set</h2>{document.table(rows, columns)}" if rows else ""


def _heading(study: Study, task: TaskResult) -> str:
    return f"<h2>{escape(task.name)}</h2>" if len(study.tasks) > 1 else ""


def _summary(task: TaskResult) -> str:
    return f"<ul>{''.join(f'<li>{escape(one)}</li>' for one in summing_up.sentences(task))}</ul>"


def _glossary() -> str:
    words = "".join(f"<dt>{escape(w)}</dt><dd>{escape(m)}</dd>" for w, m in summing_up.GLOSSARY.items())
    return f"<section><h2>Glossary</h2><dl>{words}</dl></section>"


def _task(task: TaskResult, shown: Sequence[Shown]) -> Iterator[str]:
    low, high, unit = task.scale.low, task.scale.high, escape(task.scale.unit)
    yield f"<p>Protocol: <b>{escape(task.protocol)}</b>. Scores from {low:g} to {high:g} {unit}.</p>"
    yield document.paragraphs(task.notes)
    yield _comparison(task)
    groups = {
        "Predicted against true": ("scatter",),
        "Uncertainty": ("reliability", "pit", "sharpness", "risk"),
        "Learning curves": ("learning",),
        "The data as the features see them": ("features",),
    }
    for title, kinds in groups.items():
        chosen = [one for one in shown if one.kind in kinds]
        if title == "Learning curves":
            yield _rules(task)
        if chosen:
            yield f"<h3>{title}</h3>{_words(title)}<div class=grid>{''.join(map(_figure, chosen))}</div>"
        if title == "Uncertainty" and len(silent := [m for m in task.compared if calibration.silent(m)]):
            names = ", ".join(escape(m.label) for m in silent)
            yield f"<p class=note>{names}: points state no uncertainty; train with --validation to recalibrate.</p>"
    yield _cases(task)
    yield _health(task)


def _words(title: str) -> str:
    if title != "The data as the features see them":
        return ""
    return (
        "<p class=note>Mean features over clips, each channel standardised. Nearby samples look similar to the "
        "backbone; large distances and directions have no meaning.</p>"
    )


def _figure(shown: Shown) -> str:
    drawn = svg.inline(shown.figure, shown.name, shown.caption)
    return f"<figure>{drawn}<figcaption>{escape(shown.caption)}</figcaption></figure>"


def _grid(study: Study) -> str:
    """Return the class of the grid of figures with a panel for each task."""
    return "grid" if len(study.tasks) == 1 else '"grid wide"'


def _comparison(task: TaskResult) -> str:
    rows, letters = [], task.letters
    for method in task.methods:
        for row in method.rows(task.span):
            known = math.isfinite(row["low"])
            interval = f"{text(row['low'])} – {text(row['high'])}" if known else "–"
            group = letters.get(method.label)
            rows.append({**row, "interval": interval, "group": group, "floor": method.floor})
    notes = _reading(task)
    shared = _shared([row for row in rows if not row["floor"]])
    absent = [*shared, *(name for name in TWO_VALUES if not any(name in row for row in rows))]
    columns = {name: title for name, title in _COLUMNS.items() if name not in absent}
    said = "; ".join(f"{_COLUMNS[name]} {text(value)}" for name, value in shared.items())
    told = f"<p>All methods: {escape(said)}.</p>" if shared else ""
    return f"<h3>Comparison</h3>{told}{document.table(rows, columns)}{document.paragraphs(notes)}"


def _reading(task: TaskResult) -> list[str]:
    """Return notes on how to read the table of a task."""
    units = resampled_units(any(method.grouped for method in task.methods))
    group = "Group: rows that share a letter do not differ significantly in Spearman (paired bootstrap, Holm, 5 %)."
    one_seed = any(len(method.seeds) == 1 and method.folds[0].facts for method in task.compared)
    return [
        "Every number is the mean over folds, then over seeds; a fold on which all predictions are equal counts as "
        f"Spearman 0. The 95 % interval is a bootstrap over {units} within folds, and over seeds: it shows how much "
        "the number depends on them.",
        *(["One seed: differences between seeds are not in the intervals."] if one_seed else []),
        *([group] if task.letters else []),
        f"MAE, CRPS and width are in {task.scale.unit}; R-ℓ2 divides by a span of {task.span:g}. Points state no "
        f"uncertainty: they have no coverage, width or NLL.{_FLOORS * any(m.floor for m in task.methods)}",
        *two_value_notes(task.methods[0].values),
    ]


def _shared(rows: Sequence[Row]) -> dict[str, Any]:
    """Evaluation settings that are the same in the rows of all methods."""
    found = {name: [row[name] for row in rows] for name in ("intervals", "rule", "seeds", "folds", "samples")}
    return {name: values[0] for name, values in found.items() if values and len(set(values)) == 1}


def _rules(task: TaskResult) -> str:
    watched = [method for method in task.compared if method.curve("test").size]
    if not watched:
        return ""
    rows = [{"method": m.label} | {row["rule"]: row["spearman"] for row in curves.by_rule(m)} for m in watched]
    marks = {name: "honest" if rule.honest else curves.OPTIMISTIC for name, rule in RULES.items()}
    columns = {"method": "method"} | {name: f"{name} ({mark})" for name, mark in marks.items()}
    note = (
        "; ".join(f"{name}: {rule.meaning}" for name, rule in RULES.items()) + ".",
        "Optimistic: test scores influenced which number is reported, or the number is not that of a single model. "
        "Such numbers must not be compared with honest ones.",
    )
    return f"<h3>Every selection rule</h3>{document.table(rows, columns)}{document.paragraphs(note)}"


def _cases(task: TaskResult) -> str:
    largest = max((abs(part.contribution) for case in task.cases for part in case.timeline), default=0.0)
    cards = "".join(_card(case, task.scale.unit, largest) for case in task.cases)
    note = (
        "The largest errors of each method, and then the true scores that were least likely under its prediction, "
        "if they are outside its 99 % interval (surprise: in standard deviations of a normal distribution). Bars: what "
        "each clip adds to the score, up or down, compared with the mean clip at its position (Shapley values; first "
        f"to last). A bar of full height is {largest:.3g} {task.scale.unit} on every card.",
    )
    return (
        f"<h3>Worst and most surprising</h3>{document.paragraphs(note)}<div class=grid>{cards}</div>" if cards else ""
    )


def _card(case: Case, unit: str, largest: float) -> str:
    ends = f" ({case.low:.2f} to {case.high:.2f})" if case.low < case.high else ""
    surprise = f", surprise {case.surprise:.1f} σ" if math.isfinite(case.surprise) else ""
    pictures = "".join(_picture(f, case.id, number) for number, f in enumerate(case.frames, start=1))
    strip = f"<div class=strip>{pictures}</div>" if pictures else ""
    line = svg.timeline(case.timeline, unit, largest) if case.timeline else ""
    about = f"<p>{escape(case.about)}</p>" if case.about else ""
    about += "".join(f"<p class=words>{escape(sentence)}</p>" for sentence in case.words)
    similar = ", ".join(f"{name} ({score:.2f})" for name, score in case.similar)
    about += f"<p class=note>most similar in training: {escape(similar)}</p>" if similar else ""
    about += "".join(f"<p class=note>{escape(doubt)}</p>" for doubt in case.doubts)
    return (
        f"<article><h4>{escape(case.id)}</h4><p class=note>{escape(case.method)} · {escape(case.why)} · "
        f"fold {escape(case.fold)}, seed {case.seed}</p>{strip}{line}<p>true <b>{case.true:.2f}</b>, predicted "
        f"<b>{case.mean:.2f}</b>{ends} {escape(unit)}{surprise}</p>{about}</article>"
    )


def _picture(frame: Any, name: str, number: int) -> str:
    encoded = base64.b64encode(svg.picture(frame)).decode()
    return document.picture(f"data:image/jpeg;base64,{encoded}", f"{name}, picture {number}")


def _health(task: TaskResult) -> str:
    if task.health is None:
        return ""
    rows = task.health.rows()
    columns = {name: name.replace("_", " ") for row in rows for name in row}
    found = "".join(
        f"<li class={severity}><b>{severity}</b> {escape(sentence)}</li>" for severity, sentence in task.health.findings
    )
    told = f"<ul>{found}</ul>" if found else "<p>No problems found.</p>"
    return f"<h3>Health of the data</h3>{document.table(rows, columns)}{told}"


def _rerun(study: Study) -> str:
    runs = [(t, m, f) for t in study.tasks for m in t.compared for f in m.folds if f.facts]
    if not runs:
        return ""
    versions = sorted({json.dumps(f.facts.get("versions", {})) for _, _, f in runs})
    made = "; ".join(", ".join(f"{n} {v}" for n, v in json.loads(one).items()) for one in versions)
    blocks = "".join(_run(task, method, fold) for task, method, fold in runs)
    return f"<section><h2>To run it again</h2><p>Made with {escape(made)}.</p>{blocks}</section>"


def _run(task: TaskResult, method: MethodResult, fold: FoldResult) -> str:
    title = f"{task.name}: {method.label}, fold {fold.fold}, seed {fold.seed}"
    facts = json.dumps(fold.facts, indent=1, ensure_ascii=False)
    return (
        f"<details><summary>{escape(title)}</summary><pre>{escape(fold.command)}</pre>"
        f"<pre>{escape(facts)}</pre></details>"
    )


def _plain(value: Any) -> Any:
    """Convert arrays and tuples to JSON values; numbers have nine digits, non-finite numbers are null."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return float(f"{value:.9g}") if math.isfinite(value) else None
    return value
