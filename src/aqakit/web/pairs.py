"""Judgements of two videos, which was better, and the two whose comparison tells most."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from itertools import combinations

import numpy as np

from aqakit.scores import contradictions, paired_comparison
from aqakit.scores.paired_comparison import PairedScale
from aqakit.web.desk import row_of
from aqakit.web.desk_models import Judged, Judgement, Row, Teaching
from aqakit.web.jobs import Jobs
from aqakit.web.schema import LISTED

CANDIDATES = 40
"""Videos among which the next pair is looked for: the newest ones that can be played."""

SHOWN = 5

Known = Sequence[tuple[int, int, float]]
"""Indices of the better and the worse one of two, and the weight; two that are equal are half a win of each."""


def add(jobs: Jobs, judgement: Judgement) -> bool:
    """Store a judgement; return whether both videos exist."""
    number = "(SELECT number FROM jobs WHERE id = ?)"
    both = jobs.read("SELECT COUNT(*) FROM jobs WHERE id IN (?, ?)", judgement.first, judgement.second)[0][0] == 2
    if both:
        insert = f"INSERT INTO pairs (first, second, better, created) VALUES ({number}, {number}, ?, ?)"
        jobs.change(insert, judgement.first, judgement.second, judgement.better, time.time())
    return both


def remove(jobs: Jobs, number: int) -> bool:
    """Forget a judgement; return whether it existed."""
    return bool(jobs.change("DELETE FROM pairs WHERE number = ? RETURNING number", number))


def judged(jobs: Jobs, run: str = "") -> list[Judged]:
    """Return the judgements of videos of a run, or all, the newest first."""
    query = (
        "SELECT p.*, a.id AS first_id, b.id AS second_id, a.name AS first_name, b.name AS second_name "
        "FROM pairs p JOIN jobs a ON a.number = p.first JOIN jobs b ON b.number = p.second "
        "WHERE ? IN ('', a.run) AND ? IN ('', b.run) ORDER BY p.number DESC"
    )
    return [
        Judged(
            first=row["first_id"],
            second=row["second_id"],
            better=row["better"],
            number=row["number"],
            names=[row["first_name"], row["second_name"]],
            created=row["created"],
        )
        for row in jobs.read(query, run, run)
    ]


def teaching(jobs: Jobs, run: str, skipped: Collection[frozenset[str]] = ()) -> Teaching:
    """Return what was judged, what contradicts, and the next pair that is neither judged nor ``skipped``."""
    known = judged(jobs, run)
    query = f"SELECT {', '.join(LISTED)} FROM jobs WHERE run = ? AND status = 'finished' AND video ORDER BY number DESC"
    rows = [row_of(row) for row in jobs.read(f"{query} LIMIT ?", run, CANDIDATES)]
    names = {one: name for pair in known for one, name in zip((pair.first, pair.second), pair.names, strict=True)}
    names |= {row.id: row.name for row in rows}
    items = list(names)
    scale = _scale(items, rows, directed(known, items))
    asked = {frozenset((pair.first, pair.second)) for pair in known} | set(skipped)
    free = [pair for pair in combinations(range(len(rows)), 2) if frozenset(rows[k].id for k in pair) not in asked]
    chosen = scale.next_pair([(items.index(rows[i].id), items.index(rows[j].id)) for i, j in free]) if free else ()
    found = {row.id: row for row in rows}
    notes = disagreements(scale, directed(known, items), [names[one] for one in items])
    return Teaching(
        count=len(known),
        last=known[:SHOWN],
        next=[found[items[k]] for k in chosen],
        notes=notes + ([] if free else [_why(rows)]),
    )


def directed(known: Sequence[Judged], items: Sequence[str]) -> Known:
    """Judgements as wins of one item over another."""
    place = {one: k for k, one in enumerate(items)}
    found = []
    for pair in known:
        first, second = place[pair.first], place[pair.second]
        ways = {"first": [(first, second)], "second": [(second, first)]}
        both = ways.get(pair.better, [(first, second), (second, first)])
        found += [(better, worse, 1 / len(both)) for better, worse in both]
    return found


def _scale(items: Sequence[str], rows: Sequence[Row], known: Known) -> PairedScale:
    """The scale of the judgements; before the first one, what the run thinks of the videos and how sure it is."""
    if known:
        better, worse, weight = zip(*known, strict=True)
        return paired_comparison.fit(len(items), better, worse, weight)
    score = np.array([row.score or 0.0 for row in rows])
    unit = (score.std() if len(score) else 0.0) or 1.0
    spread = np.array([row.std or 0.0 for row in rows]) / unit
    return PairedScale(score / unit, np.diag(spread**2 + 1e-6), np.arange(len(rows)), 1.0)


def disagreements(scale: PairedScale, known: Known, names: Sequence[str]) -> list[str]:
    """Say which judgements do not go together; ones of equality do not count."""
    told = [(better, worse) for better, worse, weight in known if weight == 1]
    if not told:
        return []
    better, worse = zip(*told, strict=True)
    return contradictions.described(scale, better, worse, names)


def _why(rows: Sequence[Row]) -> str:
    if len(rows) < 2:
        return "two scored videos that are still kept are needed to compare"
    return "all pairs of the newest videos have been judged or left out"
