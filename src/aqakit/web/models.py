"""What the server says, as JSON; the description of the API is made from this."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class RunCard(BaseModel):
    """A run that can score videos."""

    name: str
    method: str
    summary: str = Field(description="what the method is, in one line")
    data: str = Field(description="the data set it learnt from")
    unit: str = Field(description="of the score")
    low: float = Field(description="the lowest score that can be given")
    high: float = Field(description="the highest")
    needs_difficulty: bool = Field(description="whether each video needs its declared difficulty")
    recalibrated: bool = Field(description="whether its intervals were fitted on validation data")
    command: str = Field(description="what makes such a run again; without folders of the server")
    versions: dict[str, str] = Field(description="of the libraries it was made with")
    fingerprint: str = Field(description="of its data and settings")


class Service(BaseModel):
    """The runs, and what may be asked of them."""

    runs: list[RunCard]
    waiting: int = Field(description="videos in the queue, the one being scored among them")
    upload_limit: int = Field(description="bytes of a video")
    duration_limit: float = Field(description="seconds of a video")
    kept_hours: float = Field(description="after which an uploaded video is removed")


class Health(BaseModel):
    """Whether the server works."""

    status: Literal["ok", "degraded"]
    waiting: int


class Interval(BaseModel):
    """A central interval of the score."""

    level: float
    low: float
    high: float


class Curve(BaseModel):
    """The density of the score, per unit of it, a little smoothed; the intervals are not."""

    scores: list[float]
    density: list[float]


class Clip(BaseModel):
    """A part of the video and how many points it adds to the score, or takes from it."""

    first: int = Field(description="first frame")
    last: int = Field(description="last frame")
    start: float = Field(description="seconds; 0 where the video has no frame rate")
    end: float
    contribution: float | None = Field(default=None, description="in units of the score: its Shapley value")
    error: float | None = Field(default=None, description="standard error of the contribution; 0 where it is exact")
    still: str | None = Field(default=None, description="its middle frame, a JPEG as data URI")


class Exemplar(BaseModel):
    """A training video that the model finds like this one."""

    id: str
    score: float
    distance: float = Field(description="of what the method reads, in spreads of a channel")


class Footage(BaseModel):
    """What was read."""

    frames: int
    width: int
    height: int
    rate: float = Field(description="frames per second; 0 where none is known")
    duration: float = Field(description="seconds")
    codec: str


class Answer(BaseModel):
    """A score distribution and what made it."""

    score: float = Field(description="the mean")
    std: float
    unit: str
    low: float = Field(description="the lowest score that can be given")
    high: float = Field(description="the highest")
    intervals: list[Interval]
    recalibrated: bool
    curve: Curve
    baseline: float | None = Field(description="of a usual video; with the contributions it adds up to the prediction")
    clips: list[Clip]
    said: dict[str, int | str] = Field(description="classes of attributes, and the caption, where the method has any")
    exemplars: list[Exemplar]
    video: Footage
    notes: list[str]
    seconds: float = Field(description="that scoring took")


class Progress(BaseModel):
    """Clips that the network has seen, of all."""

    done: int
    total: int


class Score(BaseModel):
    """A video and how far it is."""

    id: str
    name: str = Field(description="of the file, as it was uploaded")
    run: str
    difficulty: float | None
    status: Literal["queued", "scoring", "finished", "failed"]
    ahead: int = Field(description="videos that come before it")
    waiting: int = Field(description="videos in the queue, the one being scored among them")
    progress: Progress | None
    created: float = Field(description="seconds since 1970")
    finished: float | None
    video: bool = Field(description="whether the uploaded file is still kept")
    result: Answer | None
    problem: str | None = Field(description="why there is no score, in one sentence")


class Problem(BaseModel):
    """Why a request was refused."""

    detail: str
