"""Score recordings given on the command line; one that cannot be scored gives an error message and is skipped."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from aqakit.datasets.parts.declared import declare
from aqakit.datasets.parts.loading import load as load_dataset
from aqakit.errors import AqakitError, DataError, OptionError
from aqakit.features.cluster import map_distributed
from aqakit.recordings import repetitions as finding
from aqakit.recordings import skeletons
from aqakit.recordings.listing import expand
from aqakit.recordings.skeletons import LAYOUTS
from aqakit.recordings.video import Report
from aqakit.scores.distributions import ScoreDistribution
from aqakit.system.progress import track
from aqakit.system.wording import option
from aqakit.training import people
from aqakit.training.journal import Journal
from aqakit.training.people import Shift
from aqakit.training.rows import origin
from aqakit.training.run import Run
from aqakit.training.run_files import LEVEL, decode_descriptions
from aqakit.training.trust import Provenance
from aqakit.types import Batch, Sample, ScoreScale, Segment

Scored = tuple[dict[str, Any] | None, str]
"""The row of a recording; or None, and why it has none."""

_READING = {
    "requested": "frames",
    "missing": "frames_missing",
    "corrupt": "frames_damaged",
    "absent": "frames_cut_off",
    "gaps": "numbers_missing",
    "uneven": "rate_varies",
}
_BODY = {"searched": "frames_searched", "found": "frames_with_body"}
"""Columns of how well a video could be read, by attribute of its report."""

DETAILS = (
    "kind", "shift", "unfamiliar", "held_90", "held_out_samples", "worth", "failed_members", *_READING.values(),
    *_BODY.values(), "joints_seen",
)  # fmt: skip
"""Columns that are written to files but not printed; sentences say them."""

_PROVENANCE = ("familiar", "unfamiliar", "in_training")


def score_recordings(
    run: Run,
    recordings: Sequence[Path] | Path,
    difficulty: float | None = None,
    *,
    kind: str | None = None,
    steps: Sequence[str] = (),
    segments: Sequence[Segment] = (),
    repetitions: bool = False,
    shift: Shift | None = None,
    workers: int = 0,
    cluster: str | None = None,
    journal: Journal | None = None,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return a row for each recording that can be scored, and an error message for each that cannot.

    Args:
        run: a finished run.
        recordings: files, folders of frames or of recordings, and patterns; or one manifest, a CSV that lists them with
            window and difficulty.
        difficulty: declared difficulty of the recordings that state none.
        kind: what was declared of those that state none, such as a dive number.
        steps: their declared steps.
        segments: named parts of the recordings that state none.
        repetitions: find the repetitions in each recording, and score each of them.
        shift: of the person in the recordings; it is a column of the rows.
        workers: processes that share the work, each with the run in memory; 0: this one, or one a machine of a cluster.
        cluster: address of a Ray cluster, host:port or ``auto``.
        journal: keeps the rows as they are made, and has those that a killed command made.
    """
    failed: list[str] = []
    samples = _manifest(run, recordings) if isinstance(recordings, Path) else _samples(run, recordings, failed)
    check_segments(segments, samples)
    if repetitions:
        samples = _divided(run, samples, failed)
    run.check_declared(kind, steps)
    given = {"difficulty": difficulty, "kind": kind, "steps": tuple(steps), "segments": tuple(segments)}
    told = [declare(sample, **given) for sample in samples]
    journal = journal or Journal(None, None)
    rows = {s.id: row for s in told if (row := journal.get(s)) is not None}
    left = [s for s in told if s.id not in rows]
    with closing(_scored(run, left, shift, workers, cluster)) as answers:
        for sample, (row, fault) in track(answers, "scoring", len(left)):
            if row is None:
                failed.append(fault)
                continue
            rows[sample.id] = row
            journal.add(sample, row)
    return [rows[s.id] for s in told if s.id in rows], failed


def _scored(
    run: Run, samples: Sequence[Sample], shift: Shift | None, workers: int, cluster: str | None
) -> Generator[tuple[Sample, Scored], None, None]:
    """Yield samples with their rows, or with why they have none; in any order if several processes work."""
    if not workers and cluster is None:
        for sample in samples:
            yield sample, _score(run, shift, sample)
        return
    prepare = partial(_prepare, run.folder.absolute(), shift)
    with closing(map_distributed(samples, prepare, workers=workers, address=cluster)) as answers:
        for sample, answer in answers:
            yield sample, answer or (None, f"{sample.id}: every process that scored it died; is there memory for it?")


def _prepare(folder: Path, shift: Shift | None) -> Callable[[Sequence[Sample]], Iterator[Scored]]:
    return partial(map, partial(_score, Run.load(folder), shift))


def _score(run: Run, shift: Shift | None, sample: Sample) -> Scored:
    """The row of one sample, or None and what is wrong with it."""
    try:
        reports: list[Report] = []
        video = run.embed([sample], reports)
        answer = run.answer(video, shift.points if shift else None).select(0)
        row = _row(sample, answer, run.labels.scale) | origin(sample, run.folder) | _trusted(run, sample, video)
        row |= {"shift": shift.points} if shift else {}
        row |= {"kind": sample.kind} if run.assessor.method.reads_kind else {}
        row |= reading(reports[0]) | _seen(run, sample)
        return row | next(decode_descriptions(run.describe(video), run.labels), {}), ""
    except AqakitError as error:
        return None, str(error)


def person(run: Run, recordings: Sequence[Path], difficulty: float | None = None) -> Shift:
    """The shift of the person in recordings that are known to be right, all of which must be readable."""
    return people.calibrate(run, _samples(run, recordings), difficulty)


def off_scale(rows: Sequence[dict[str, Any]], scale: ScoreScale) -> list[str]:
    """Return a warning for each score outside the scale: the recording is unlike the training data."""
    return [
        f"{row['recording']}: {row['score']:.1f} is off the scale from {scale.low:g} to {scale.high:g} {scale.unit}; "
        "the recording is unlike the training data"
        for row in rows
        if not scale.low <= row["score"] <= scale.high
    ]


def doubts(run: Run, rows: Sequence[dict[str, Any]], shift: Shift | None = None) -> list[str]:
    """Return what must be said beside the scores: of the run and the person, then of single recordings."""
    said = [shift.sentence(run.labels.scale.unit)] if shift else []
    said += run.trust.sentences() if run.trust else []
    known = [(row["recording"], Provenance(**{n: row[n] for n in _PROVENANCE if n in row})) for row in rows]
    said += [f"{name}: {sentence}" for name, one in known for sentence in one.sentences()]
    said += [
        f"{row['recording']}: {1 - row['joints_seen']:.1%} of its joints were missing for too long, and are filled in"
        for row in rows
        if row.get("joints_seen", 1.0) < 1
    ]
    if undeclared := [row["recording"] for row in rows if row.get("kind", "") is None]:
        one = undeclared[0] if len(undeclared) == 1 else f"{len(undeclared)} recordings"
        said.append(f"{one}: no kind is declared, which this run compares within; say it with {option('kind')}")
    return said + reading_doubts(rows)


def reading_doubts(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return what must be said of videos that could be read only in part."""
    read = [(row["recording"], Report(**_report(row))) for row in rows if "frames" in row]
    return [f"{name}: {one.sentence()}" for name, one in read if one.searched or not one.ok]


def _seen(run: Run, sample: Sample) -> dict[str, float]:
    """Column of the share of joint positions that were not filled in; none if the run reads no skeleton."""
    if not any(one.reads == "skeleton" for one in run.backbones.values()):
        return {}
    seen = skeletons.read(sample.sources["skeleton"], layout=_layout(run)).seen
    inside = seen if sample.window is None else seen[sample.window[0] : sample.window[1] + 1]
    return {"joints_seen": float(inside.mean())}


def _layout(run: Run) -> str | None:
    """The layout that the backbones of a run take joints in, if they were told one."""
    readers = [one for one in run.backbones.values() if one.reads == "skeleton"]
    named = (getattr(one, option, None) for one in readers for option in ("order", "layout"))
    return next((name for name in named if name in LAYOUTS), None)


def reading(report: Report) -> dict[str, int]:
    """Columns of how well a video could be read, and in how much of it a body was found; none for other recordings."""
    columns = (_READING if report.requested else {}) | (_BODY if report.searched else {})
    return {column: getattr(report, name) for name, column in columns.items()}


def _report(row: dict[str, Any]) -> dict[str, int]:
    counts = {name: row[column] for name, column in (_READING | _BODY).items() if column in row}
    return counts | {"decoded": counts["requested"] - counts["missing"]}


def _trusted(run: Run, sample: Sample, video: Batch) -> dict[str, Any]:
    """Columns of how far a score can be trusted, as far as the run can tell."""
    found = {name: value for name, value in asdict(run.provenance(sample, video)).items() if value is not None}
    if "familiar" not in found:
        del found["unfamiliar"]
    if (trust := run.trust) is None:
        return found
    held = {"held_90": trust.held / trust.samples, "held_out_samples": trust.samples, "worth": trust.worth}
    return found | held | ({} if trust.failed is None else {"failed_members": trust.failed})


def _divided(run: Run, samples: Sequence[Sample], failed: list[str]) -> list[Sample]:
    """Return a sample for each repetition in the samples; note those in which none can be found."""
    found: list[Sample] = []
    for sample in track(samples, "finding repetitions"):
        try:
            found += _repetitions(run, sample)
        except AqakitError as error:
            failed.append(str(error))
    return found


def _repetitions(run: Run, sample: Sample) -> list[Sample]:
    kind = next((kind for kind in ("skeleton", "signal") if kind in sample.sources), None)
    if kind is None:
        raise DataError(f"{sample.id}: repetitions are found in joints or tables; run aqakit pose on videos first")
    if sample.window is not None:
        raise DataError(
            f"{sample.id}: it already has a window (start and end); repetitions are found in whole recordings"
        )
    parts = finding.find(sample.sources[kind], layout=_layout(run)).found
    if not parts:
        raise DataError(f"{sample.id}: no repetition found; the posture never comes back, or nothing moves")
    return [
        replace(sample, id=f"{sample.id} #{k} ({one.start:.1f} – {one.end:.1f} s)", window=(one.first, one.last))
        for k, one in enumerate(parts, 1)
    ]


def check_segments(segments: Sequence[Segment], samples: Sequence[Sample]) -> None:
    """Check that segments that are given once are for one recording.

    Raises:
        OptionError: there are several.
    """
    if segments and len(samples) > 1:
        raise OptionError(f"segments are the parts of one recording, and {len(samples)} are to be scored")


def _samples(run: Run, recordings: Sequence[Path], failed: list[str] | None = None) -> list[Sample]:
    return [run.sample(path) for path in expand(recordings, run.only_input(), failed)]


def _manifest(run: Run, file: Path) -> Sequence[Sample]:
    rate = run.recipe.data_options.get("rate", "stored")
    return [replace(sample, rate=rate) for sample in load_dataset("manifest", file).samples]


def _row(sample: Sample, answer: ScoreDistribution, scale: ScoreScale) -> dict[str, Any]:
    low, high = (min(max(float(end), scale.low), scale.high) for end in answer.interval(LEVEL))
    return {
        "recording": sample.id,
        "score": float(answer.mean),
        "std": float(answer.std),
        "low_90": low,
        "high_90": high,
    }
