"""The true score of a video, told afterwards as it is or as the judges' marks."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import HTTPException

from aqakit.errors import DataError
from aqakit.scores.rules import RULES
from aqakit.web.desk_models import Change
from aqakit.web.hub import Hub
from aqakit.web.models import RunCard, Score

MARGIN = 0.5
"""Spans of the scores learnt from by which a true score may lie outside them, if the sport's scale was not declared."""


def columns(card: RunCard | None, job: Score, changes: Change) -> dict[str, object]:
    """Return the columns that a change of difficulty, true score or marks sets.

    Raises:
        HTTPException: 400 or 409, with what is wrong.
    """
    given = changes.model_fields_set
    new: dict[str, object] = {"difficulty": changes.difficulty} if "difficulty" in given else {}
    difficulty = changes.difficulty if "difficulty" in given else job.difficulty
    if "judges" in given and changes.judges:
        return new | _by_marks(card, changes.judges, difficulty)
    if "truth" in given:
        if changes.truth is not None:
            check(card, changes.truth)
        return new | {"truth": changes.truth, "judges": ""}
    if "judges" in given:
        return new | {"truth": None, "judges": ""}
    if "difficulty" in given and job.judges:  # the score that they make is another one
        return new | _by_marks(card, job.judges, difficulty)
    return new


def _by_marks(card: RunCard | None, marks: Sequence[float], difficulty: float | None) -> dict[str, object]:
    if card is None or card.rule is None:
        raise HTTPException(400, "this run does not know how marks make a score; enter the score itself")
    if card.rule_needs_difficulty and difficulty is None:
        raise HTTPException(400, "marks make a score together with the difficulty; enter the difficulty too")
    try:
        score = float(RULES[card.rule].score(list(marks), difficulty))
    except DataError as error:
        raise HTTPException(400, str(error)) from None
    score = round(score, 6)
    check(card, score)
    return {"truth": score, "judges": " ".join(f"{mark:g}" for mark in marks)}


def check(card: RunCard | None, score: float) -> None:
    """Refuse a true score that is not on the scale.

    Raises:
        HTTPException: 400, with the scale; 409 if the run, and so the scale, is not known.
    """
    if card is None:
        raise HTTPException(409, "the run that scored this video is no longer served, so its scale is not known")
    slack = MARGIN * (card.high - card.low)
    low = card.low - slack if card.floor is None else card.floor
    high = card.high + slack if card.ceiling is None else card.ceiling
    if not low <= score <= high:
        known = "learnt from" if card.floor is None or card.ceiling is None else "on the scale"
        raise HTTPException(
            400, f"{score:g} {card.unit} cannot be right: scores {known} go from {card.low:g} to {card.high:g}"
        )


def rescored(hub: Hub, job: Score, changes: Change) -> bool:
    """Whether a new difficulty makes the score of a video another one, so that it must be scored again.

    Raises:
        HTTPException: 400 if the run needs a difficulty; 409 if the video is being scored, or is no longer there.
    """
    card = hub.cards.get(job.run)
    if card is None or not card.needs_difficulty or changes.difficulty == job.difficulty:
        return False
    if changes.difficulty is None:
        raise HTTPException(400, f"run {job.run} needs the declared difficulty of the video")
    if job.status == "scoring":
        raise HTTPException(409, "this video is being scored; change its difficulty when it is done")
    if job.status != "queued":
        hub.video(job.id)
    return True
