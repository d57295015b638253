"""Responses of the server as JSON; the API description is generated from these classes."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from aqakit.web.desk_models import Comparison


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
    reads: str = Field(default="video", description="video, signal or skeleton")
    layout: str | None = Field(default=None, description="names of the joints that it reads; null: those of the file")
    finds_joints: bool = Field(default=False, description="whether it looks for the joints of a person in videos")
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


class Motion(BaseModel):
    """A table of motion or a skeleton, as curves."""

    rate: float = Field(description="rows per second; 0 if unknown")
    length: int = Field(description="rows")
    channels: int
    names: list[str] = Field(description="of the channels that are drawn")
    units: list[str]
    rows: list[int] = Field(description="numbers of the rows that are drawn")
    values: list[list[float]] = Field(description="of each channel, at these rows")


class Figure(BaseModel):
    """A skeleton over time; a person in three dimensions faces the viewer at the start."""

    joints: list[str]
    bones: list[tuple[int, int]] = Field(description="numbers of the joints at their ends; none if unknown")
    dimensions: int = Field(description="2 or 3")
    rate: float = Field(description="frames per second")
    assumed: bool = Field(description="whether the rate is assumed, since the file does not tell it")
    times: list[float] = Field(description="seconds of the frames that are drawn")
    places: list[list[int | None]] = Field(
        description="of each frame, for every joint: to the right of the middle, up from the floor, and in three "
        "dimensions towards the viewer; null if it was not seen"
    )
    size: tuple[float, float] = Field(description="width and height of the space in the same units")


class Glimpse(BaseModel):
    """What a training recording looks like."""

    sample: str = Field(description="its id")
    picture: str | None = Field(default=None, description="middle frame of a video, a JPEG as data URI")
    figure: Figure | None = Field(default=None, description="of a skeleton")
    curves: Motion | None = Field(default=None, description="of a table")
    problem: str = Field(default="", description="why it cannot be shown")


class Pose(BaseModel):
    """The joints that a run has found in a video."""

    joints: list[str]
    bones: list[tuple[int, int]] = Field(description="numbers of the joints at their ends")
    times: list[float] = Field(description="seconds at which the frames are shown")
    places: list[list[int | None]] = Field(
        description="of each frame, for every joint: ten-thousandths of the width of the picture from the left, and of "
        "its height from the top; null where nobody was found"
    )


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
    moments: list[Clip] = Field(
        default=[], description="parts of few clips, and the points that the score loses when one of them is made grey"
    )
    words: list[str] = Field(description="what named measures cost, in sentences; empty if the run reads none")
    said: dict[str, int | str] = Field(description="classes of attributes, and the caption, if the method predicts any")
    exemplars: list[Exemplar]
    video: Footage | None = Field(description="null for motion")
    motion: Motion | None = Field(default=None, description="null for a video")
    notes: list[str]
    seconds: float = Field(description="time that scoring took")


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
