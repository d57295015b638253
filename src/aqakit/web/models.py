"""Responses of the server as JSON; the API description is generated from these classes."""

from __future__ import annotations

import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field


class RunCard(BaseModel):
    """A run that can score videos."""

    name: str
    title: str = Field(default="", description="what it is: data, method, what it learnt from, and its measured error")
    trust: list[str] = Field(default=[], description="how far its scores can be trusted, in sentences")
    method: str
    summary: str = Field(description="description of the method, in one line")
    data: str = Field(description="data set it was trained on")
    unit: str = Field(description="unit of the score")
    low: float = Field(description="lowest possible score")
    high: float = Field(description="highest possible score")
    floor: float | None = Field(default=None, description="lowest score of the sport, if its scale was declared")
    ceiling: float | None = Field(default=None, description="highest score of the sport, if its scale was declared")
    rule: str | None = Field(default=None, description="rule that makes a score of the judges' marks")
    marks: list[int] = Field(default=[], description="numbers of marks that the rule takes")
    rule_needs_difficulty: bool = Field(default=False, description="whether the rule multiplies by the difficulty")
    needs_difficulty: bool = Field(description="whether each video needs its declared difficulty")
    recalibrated: bool = Field(description="whether its intervals were fitted on validation data")
    command: str = Field(description="command that makes such a run again, without folders of the server")
    versions: dict[str, str] = Field(description="versions of the libraries it was made with")
    fingerprint: str = Field(description="hash of its data and settings")


class Service(BaseModel):
    """The runs, and the limits."""

    runs: list[RunCard]
    waiting: int = Field(description="number of videos in the queue, including the one being scored")
    upload_limit: int = Field(description="largest video, in bytes")
    duration_limit: float = Field(description="longest video, in seconds")
    kept_hours: float | None = Field(description="hours after which a video is removed; null: kept until deleted")
    chosen: str | None = Field(default=None, description="the run that the owner chose to use")
    improved: dict[str, Comparison] = Field(default={}, description="runs made on this page, by name")
    desk: bool = Field(default=False, description="whether this visitor may list all scores")


class Health(BaseModel):
    """Whether the server works."""

    status: Literal["ok", "degraded"]
    waiting: int
    problem: str | None = Field(default=None, description="why no video is scored at the moment; absent if all is well")


class Interval(BaseModel):
    """A central interval of the score."""

    level: float
    low: float
    high: float


class Curve(BaseModel):
    """The density of the score, per unit of the score, slightly smoothed; the intervals are not smoothed."""

    scores: list[float]
    density: list[float]


class Clip(BaseModel):
    """A part of the video and the points that it adds to the score."""

    first: int = Field(description="first frame")
    last: int = Field(description="last frame")
    start: float = Field(description="seconds; 0 if the video has no frame rate")
    end: float
    contribution: float | None = Field(default=None, description="Shapley value, in units of the score")
    error: float | None = Field(default=None, description="standard error of the contribution; 0 if it is exact")
    still: str | None = Field(default=None, description="middle frame, a JPEG as data URI")


class Exemplar(BaseModel):
    """A training video that is similar to this one for the model."""

    id: str
    score: float
    distance: float = Field(description="between the features that the method reads, in spreads of a channel")


class Footage(BaseModel):
    """Properties of the video."""

    frames: int
    width: int
    height: int
    rate: float = Field(description="frames per second; 0 if unknown")
    duration: float = Field(description="seconds")
    codec: str


class Answer(BaseModel):
    """A score distribution and its explanation."""

    score: float = Field(description="the mean")
    std: float
    unit: str
    low: float = Field(description="lowest possible score")
    high: float = Field(description="highest possible score")
    intervals: list[Interval]
    recalibrated: bool
    curve: Curve
    baseline: float | None = Field(description="score of a video of mean clips; contributions add up from here")
    clips: list[Clip]
    words: list[str] = Field(description="what named measures cost, in sentences; empty if the run reads none")
    said: dict[str, int | str] = Field(description="classes of attributes, and the caption, if the method predicts any")
    exemplars: list[Exemplar]
    video: Footage
    notes: list[str]
    seconds: float = Field(description="time that scoring took")


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


class Alignment(BaseModel):
    """Which moment of one video belongs to which of another."""

    pairs: list[tuple[float, float]] = Field(description="seconds of the first and of the second, never falling")
    seconds: tuple[float, float] = Field(description="length of each")
    rates: tuple[float, float] = Field(description="frames per second of each")


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


class Progress(BaseModel):
    """Number of clips processed by the network, and the total."""

    done: int
    total: int


class Score(BaseModel):
    """A video with its status and its score."""

    id: str
    name: str = Field(description="name of the uploaded file")
    run: str
    difficulty: float | None
    status: Literal["queued", "scoring", "finished", "failed"]
    ahead: int = Field(description="number of videos before it in the queue")
    waiting: int = Field(description="number of videos in the queue, including the one being scored")
    progress: Progress | None
    created: float = Field(description="seconds since 1970")
    finished: float | None
    video: bool = Field(description="whether the uploaded file is still kept")
    result: Answer | None
    problem: str | None = Field(description="why there is no score, in one sentence")
    athlete: str = ""
    date: str = ""
    tags: list[str] = []
    notes: str = ""
    truth: float | None = Field(default=None, description="the true score, told afterwards")
    judges: list[float] = []


class Problem(BaseModel):
    """Why a request was refused."""

    detail: str
