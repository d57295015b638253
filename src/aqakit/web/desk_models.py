"""What the desk is asked and answers, as JSON; the API description is generated from these classes."""

from __future__ import annotations

import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field


def _tags(value: object) -> object:
    """A list, or text with commas; without empty ones and repetitions."""
    parts = value.split(",") if isinstance(value, str) else value or []
    if not isinstance(parts, list) or not all(isinstance(one, str) for one in parts):
        return parts
    return list(dict.fromkeys(filter(None, (" ".join(tag.replace(",", " ").split()) for tag in parts))))


def _date(value: object) -> object:
    return None if value == "" else value


def _line(value: object) -> object:
    return " ".join(value.split()) if isinstance(value, str) else value or ""


def _text(value: object) -> object:
    return value or ""


Line = Annotated[str, BeforeValidator(_line), Field(max_length=200)]
Tags = Annotated[
    list[Annotated[str, Field(max_length=50)]], BeforeValidator(_tags), Field(max_length=20, description="free words")
]
Day = Annotated[datetime.date | None, BeforeValidator(_date), Field(description="day of the performance, ISO 8601")]


class Details(BaseModel, extra="forbid"):
    """What a visitor wrote of a video."""

    athlete: Line = Field(default="", description="who performs")
    date: Day = None
    tags: Tags = []
    notes: Annotated[str, BeforeValidator(_text), Field(max_length=2000)] = ""


class Change(Details):
    """What to change of a video; what is absent stays, and null removes."""

    difficulty: float | None = Field(default=None, gt=0, le=100)
    truth: float | None = Field(default=None, description="the true score", allow_inf_nan=False)
    judges: list[Annotated[float, Field(allow_inf_nan=False)]] = Field(
        default=[], max_length=20, description="the judges' marks, from which the true score is computed"
    )


Word = Annotated[str, Field(max_length=200)]


class Wanted(BaseModel, extra="forbid"):
    """Which part of the list."""

    sort: Literal["created", "name", "run", "athlete", "date", "difficulty", "score", "truth", "error", "state"] = (
        Field(default="created", description="column to sort by; error: distance of score and true score")
    )
    order: Literal["asc", "desc"] = "desc"
    run: Word = ""
    athlete: Word = Field(default="", description="only of this one, whatever the case of letters")
    tag: Word = ""
    q: Word = Field(default="", description="words in name, athlete, tags, notes or problem")
    state: Literal["waiting", "finished", "failed", "corrected"] | None = Field(
        default=None, description="corrected: with a true score"
    )
    offset: int = Field(default=0, ge=0, le=10**9)
    limit: int = Field(default=50, ge=1, le=500)


class Row(BaseModel):
    """A row of the list."""

    id: str
    name: str
    run: str
    status: Literal["queued", "scoring", "finished", "failed"]
    created: float = Field(description="seconds since 1970")
    finished: float | None
    difficulty: float | None
    athlete: str
    date: str
    tags: list[str]
    notes: str
    score: float | None
    std: float | None
    low: float | None = Field(description="lower end of the 90 % interval")
    high: float | None
    unit: str
    truth: float | None = Field(description="the true score, told afterwards")
    judges: list[float]
    video: bool = Field(description="whether the uploaded file is still kept")
    problem: str | None


class Page(BaseModel):
    """A part of the list."""

    total: int = Field(description="rows that the filters leave")
    offset: int
    rows: list[Row]
    athletes: list[str] = Field(description="all that there are")
    tags: list[str] = Field(description="all that there are")


class Difference(BaseModel):
    """How a channel of motion differs between two recordings, second − first, in moments that belong together."""

    channel: str
    unit: str
    mean: float = Field(description="mean of the absolute difference")
    largest: float = Field(description="the difference that is largest in amount")
    at_a: float = Field(description="when it is, in seconds of the first")
    at_b: float


class Alignment(BaseModel):
    """Which moment of one recording belongs to which of another."""

    pairs: list[tuple[float, float]] = Field(description="seconds of the first and of the second, never falling")
    seconds: tuple[float, float] = Field(description="length of each")
    rates: tuple[float, float] = Field(description="frames per second of each")
    differences: list[Difference] = Field(default=[], description="of motion: channels that differ most")


class Compared(BaseModel):
    """Errors of two runs on recordings that neither has learnt from."""

    what: Literal["corrected", "others"]
    samples: int
    old: float = Field(description="mean absolute error of the old run")
    new: float


class Comparison(BaseModel):
    """An improved run beside the one that it was made from."""

    rows: list[Compared]
    verdict: Literal["better", "worse", "same"] = Field(description="beyond noise, on all of these recordings")
    learnt: int = Field(description="corrected videos that the new run learnt from")
    pairs: int = Field(description="judgements that it learnt from")
    notes: list[str]
    unit: str


class Improvement(BaseModel):
    """A run in the making, or the last one that was made."""

    status: Literal["none", "running", "finished", "failed"]
    run: str = Field(default="", description="the run that is improved")
    stage: str = ""
    done: int = Field(default=0, description="epochs")
    total: int = 0
    new: str = Field(default="", description="name of the new run")
    comparison: Comparison | None = None
    problem: str = ""
    corrected: int = Field(default=0, description="videos of this run with a true score that are kept")
    judged: int = Field(default=0, description="judgements of two videos that are kept")


Better = Literal["first", "second", "equal"]


class Judgement(BaseModel, extra="forbid"):
    """Which of two videos was better."""

    first: str = Field(description="id of a video")
    second: str = Field(description="id of the other")
    better: Better


class Judged(Judgement):
    """A judgement that was stored."""

    number: int
    names: list[str] = Field(description="of the first and of the second video")
    created: float = Field(description="seconds since 1970")


class Teaching(BaseModel):
    """What was judged of the videos of a run, and which two to judge next."""

    count: int = Field(description="number of judgements")
    last: list[Judged] = Field(description="the newest ones")
    next: list[Row] = Field(description="the two whose comparison tells most; empty if there are none left")
    notes: list[str] = Field(description="judgements that contradict each other, and why there is no next pair")
