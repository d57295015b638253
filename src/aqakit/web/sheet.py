"""A finished score as one page of A4, from what the worker stored: no video is opened."""

from __future__ import annotations

import base64
import io
import tempfile
import threading
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aqakit.report import one_page
from aqakit.report.score_sheet import Bar, ScoreSheet, signed
from aqakit.web.models import Answer, Clip, RunCard, Score

_ONE = threading.Lock()
"""The settings of Matplotlib belong to the whole process."""


def pdf(job: Score, card: RunCard | None) -> bytes:
    """Return the page as PDF.

    Args:
        job: a finished job.
        card: the run that scored it; None if it is no longer served.
    """
    with tempfile.TemporaryDirectory(prefix="aqakit-") as folder, _ONE:
        file = Path(folder) / "score.pdf"
        one_page.write(sheet(job, card), file)
        return file.read_bytes()


def sheet(job: Score, card: RunCard | None) -> ScoreSheet:
    """Return what the page shows."""
    found = job.result
    assert found is not None, "the job is finished"
    parts, spread = found.moments or found.clips, found.std > 0
    picture, caption = _decisive(parts, found)
    wide = sorted(found.intervals, key=lambda one: -one.level)
    facts = {"of": job.athlete, "on": job.date, "difficulty": "" if job.difficulty is None else f"{job.difficulty:g}"}
    facts["true score"] = "" if job.truth is None else f"{job.truth:g}"
    return ScoreSheet(
        name=job.name,
        score=found.score,
        std=found.std,
        intervals=[(one.level, one.low, one.high) for one in wide] if spread else [],
        scores=found.curve.scores if spread else [],
        density=found.curve.density if spread else [],
        low=found.low,
        high=found.high,
        unit=found.unit,
        words=found.words,
        bars=[Bar(_when(one), one.contribution, one.error or 0.0) for one in parts if one.contribution is not None],
        how=_how(found),
        trust=found.notes,
        picture=picture,
        caption=caption,
        facts={name: value for name, value in facts.items() if value},
        run=f"{card.title if card else job.run}.",
        date=datetime.fromtimestamp(job.finished or job.created).astimezone().strftime("%Y-%m-%d %H:%M %z"),
    )


def _how(found: Answer) -> str:
    if found.moments:
        return f"How many {found.unit} the score loses (+) or gains (−) when the picture is grey in that moment."
    told = "" if found.baseline is None else f" An average recording scores {found.baseline:.1f}."
    return f"How many {found.unit} better or worse than average each part was.{told}"


def _decisive(parts: list[Clip], found: Answer) -> tuple[NDArray[np.uint8] | None, str]:
    """The picture of the part that changes the score most, and what it is."""
    known = [one for one in parts if one.contribution is not None]
    if not known:
        return None, ""
    most = max(known, key=lambda one: abs(one.contribution or 0.0))
    amount = signed(most.contribution or 0.0)
    if amount == signed(0.0):
        return None, f"No moment changes the score by as much as 0.1 {found.unit}."
    said = f"The decisive moment, {_when(most)}: {amount} {found.unit}"
    if most.still is None:
        return None, said
    stored = base64.b64decode(most.still.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(stored)).convert("RGB")), said


def _when(part: Clip) -> str:
    ends = (f"{part.start:.1f}", f"{part.end:.1f}") if part.end else (str(part.first + 1), str(part.last + 1))
    when = " – ".join(dict.fromkeys(ends))  # a part may be a single frame
    return f"{when} s" if part.end else f"frames {when}"
