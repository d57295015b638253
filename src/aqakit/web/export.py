"""All that the desk holds as one ZIP archive, written as it is sent, and the end of all of it."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from aqakit.web.desk import row_of
from aqakit.web.desk_models import Judged, Row
from aqakit.web.jobs import Jobs
from aqakit.web.models import RunCard
from aqakit.web.motion import suffix_of
from aqakit.web.pairs import judged
from aqakit.web.schema import LISTED

CHUNK = 2**20
COLUMNS = (*(name for name in LISTED if name != "video"), "method", "trust")
README = """scores.csv, scores.json: all that was scored, failed or waits
pairs.csv: which of two videos was better, by id; two that are equal are half a judgement each way
manifest.csv: videos with a true score or a judgement. To train on them:

    aqakit train METHOD --data manifest --root manifest.csv --pairs pairs.csv --backbone BACKBONE --out RUN
"""


def archive(
    jobs: Jobs,
    cards: Mapping[str, RunCard],
    videos: Path | None = None,
    runs: Mapping[str, Path] | None = None,
) -> Iterator[bytes]:
    """Yield a ZIP archive in pieces.

    Args:
        jobs: the queue.
        cards: the runs that are served.
        videos: folder of the videos; None to leave them out, and with them the manifest, which needs them.
        runs: run folders to include, by name.
    """
    rows = [row_of(row) for row in jobs.read(f"SELECT {', '.join(LISTED)} FROM jobs ORDER BY number")]
    pairs = judged(jobs)
    texts = {"README.txt": README, "scores.csv": scores_csv(rows, cards), "pairs.csv": pairs_csv(pairs)}
    texts["scores.json"] = json.dumps([_named(row, cards) for row in rows], indent=1)
    files = [] if videos is None else [(_place(row), videos / row.id) for row in rows if row.video]
    if videos is not None:
        texts["manifest.csv"] = manifest_csv(rows, pairs, {name: one.reads for name, one in cards.items()})
    for name, folder in (runs or {}).items():
        found = sorted(path for path in folder.rglob("*") if path.is_file())
        files += [(f"runs/{name.replace('/', '-')}/{path.relative_to(folder)}", path) for path in found]
    return _zipped(texts, files)


def scores_csv(rows: Sequence[Row], cards: Mapping[str, RunCard]) -> str:
    """A line for each score."""
    found = []
    for row in rows:
        card = cards.get(row.run)
        lists = {"tags": ", ".join(row.tags), "judges": " ".join(f"{mark:g}" for mark in row.judges)}
        found.append(_named(row, cards) | lists | {"trust": "; ".join(card.trust) if card else ""})
    return _table(COLUMNS, found)


def pairs_csv(pairs: Sequence[Judged]) -> str:
    """A line for each judgement, in the format of :func:`aqakit.datasets.parts.pairs.read`; two for equal ones."""
    rows = []
    for pair in reversed(pairs):
        ways = {"first": [(pair.first, pair.second)], "second": [(pair.second, pair.first)]}
        both = ways.get(pair.better, [(pair.first, pair.second), (pair.second, pair.first)])
        rows += [{"better": better, "worse": worse, "weight": 1 / len(both)} for better, worse in both]
    return _table(("better", "worse", "weight"), rows)


def manifest_csv(rows: Sequence[Row], pairs: Sequence[Judged], reads: Mapping[str, str]) -> str:
    """The videos that a run can learn from, in the format of :mod:`aqakit.datasets.manifest`."""
    compared = {one for pair in pairs for one in (pair.first, pair.second)}
    known = [row for row in rows if row.video and (row.truth is not None or row.id in compared)]
    panels = {len(row.judges) for row in known if row.judges}
    marks = [f"judge_{k + 1}" for k in range(panels.pop())] if len(panels) == 1 else []
    told = [
        {
            "id": row.id,
            reads.get(row.run, "video"): _place(row),
            "score": row.truth,
            "group": row.athlete,
            "difficulty": row.difficulty,
        }
        | dict(zip(marks, row.judges))
        for row in known
    ]
    kinds = sorted({reads.get(row.run, "video") for row in known}) or ["video"]
    return _table(("id", *kinds, "score", "group", "difficulty", *marks), told)


def _named(row: Row, cards: Mapping[str, RunCard]) -> dict[str, object]:
    """A row with what is known of its run, without the server's own affairs."""
    card = cards.get(row.run)
    told = row.model_dump(exclude={"video"})
    return told | {"method": card.title if card else "", "trust": card.trust if card else []}


def _place(row: Row) -> str:
    return f"videos/{row.id}{suffix_of(row.name)}"


def _table(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows({name: "" if value is None else value for name, value in row.items()} for row in rows)
    return text.getvalue()


def _zipped(texts: Mapping[str, str], files: Iterable[tuple[str, Path]]) -> Iterator[bytes]:
    """Yield the archive; a file that was deleted meanwhile is left out."""
    sent = _Pipe()
    with zipfile.ZipFile(sent, "w", zipfile.ZIP_DEFLATED) as made:
        for name, text in texts.items():
            made.writestr(name, text)
        yield sent.take()
        for name, path in files:
            try:
                source = path.open("rb")
            except FileNotFoundError:
                continue
            entry = zipfile.ZipInfo(name)
            with source, made.open(entry, "w", force_zip64=True) as target:
                while chunk := source.read(CHUNK):
                    target.write(chunk)
                    yield sent.take()
    yield sent.take()


class _Pipe(io.RawIOBase):
    """A file that cannot be rewound: what is written to it is taken away by the piece."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        self._parts.append(bytes(data))  # type: ignore[call-overload]
        return len(self._parts[-1])

    def take(self) -> bytes:
        """Return what was written since the last call."""
        found, self._parts = b"".join(self._parts), []
        return found
