"""The recipe of a run: names and options, checked together and stored as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import AfterValidator, BeforeValidator, Field

from aqakit import discovery
from aqakit.backbones.parts.base import Backbone
from aqakit.backbones.parts.building import build_backbones
from aqakit.datasets.parts import partial_labels
from aqakit.errors import OptionError
from aqakit.features import engines
from aqakit.features.engines import Engine
from aqakit.features.frame_storage import Storage
from aqakit.recordings.transforms import Shift
from aqakit.scores import recalibration
from aqakit.system import configuration
from aqakit.system.files import user_path
from aqakit.system.wording import option
from aqakit.training.assessor import Assessor, Fuse, Target, assemble
from aqakit.training.ensemble import Ensemble
from aqakit.training.members import Parts
from aqakit.training.settings import Settings
from aqakit.types import LabelSpec

AUTO = 0
"""As many members as :func:`aqakit.training.members.members_for` gives the data."""

Summarise = int | Literal["auto"]
"""Windows in which a video's clips are summarised, 0 for none; ``auto`` until the data are known."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that defines a run, as JSON values.

    Attributes:
        method: name of the method; ``options`` are the options of its ``build``.
        data: name of the data set; ``root`` and ``data_options`` belong to it.
        task: the action to learn, for a data set with several.
        protocol: name of the splits; ``all`` trains on every readable sample and tests on none.
        fold: name of the fold; if None, the first one.
        backbones: (name, options) of each backbone.
        summarise: windows in which the clips of a video are summarised, 0 for none; ``auto`` until the data are known,
            when :func:`aqakit.training.long_videos.settle` decides.
        members: number of models, each trained without one part of the training samples; 0 until the data are known.
        parts: what is held out from a member, as :func:`aqakit.training.members.held_out_parts` takes it.
        scale_target: whether the last layers start at mean and spread of the training scores.
        validation: fraction of the training samples held out for epoch selection and recalibration.
        recalibrate: what is fitted on the held-out samples, a kind of :mod:`aqakit.scores.recalibration`.
        pairs: a table of comparisons, as :func:`aqakit.datasets.parts.pairs.read` reads it; None for those of the data
            set, if it has any.
        labels: which training samples keep their labels, in the format of
            :func:`aqakit.datasets.parts.partial_labels.choose_labelled`; if None, all.
        transductive: whether to train on the test samples too, without their labels.
        frame_storage: how decoded frames are kept in the cache, if the backbone is trained too.
    """

    method: str
    options: Mapping[str, Any] = field(default_factory=dict)
    data: str
    root: str | None = None
    data_options: Mapping[str, Any] = field(default_factory=dict)
    task: str | None = None
    protocol: str | None = None
    fold: str | None = None
    backbones: Sequence[tuple[str, Mapping[str, Any]]] = ()
    target: Target = "score"
    fuse: Fuse = "none"
    finetune: bool = False
    summarise: Summarise = 0
    standardise: Literal["auto", "yes", "no"] = "auto"
    engine: engines.Name = "torch"
    precision: engines.Precision = "float32"
    calibration: str | None = None
    shift: Shift = 0
    flip: bool = False
    jitter: int = 0
    frame_storage: Storage = "raw"
    members: int = 1
    parts: Parts = "auto"
    scale_target: bool = False
    validation: float = 0.0
    recalibrate: recalibration.Name = "conformal"
    pairs: str | None = None
    labels: str | None = None
    transductive: bool = False
    settings: Settings = field(default_factory=Settings)

    @property
    def windows(self) -> int:
        """Windows in which the clips of a video are summarised; 0 for none, or while that is not known."""
        return 0 if self.summarise == "auto" else self.summarise

    @property
    def augmented(self) -> bool:
        """Whether training sees pixels moved or mirrored at random."""
        return bool(self.shift or self.flip or self.jitter)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Recipe:
        """Restore a recipe from the result of :meth:`to_json`."""
        backbones = tuple((name, options) for name, options in stored["backbones"])
        shift = stored.get("shift", 0)
        kept = {"backbones": backbones, "shift": tuple(shift) if isinstance(shift, list) else shift}
        loop: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in stored["settings"].items()}
        return cls(**{**stored, **kept, "settings": Settings(**loop)})

    def to_json(self) -> dict[str, Any]:
        """Return JSON values from which :meth:`from_json` restores the recipe."""
        stored: dict[str, Any] = json.loads(json.dumps(asdict(self), default=str))
        return stored


_CALL = ("data", "backbone", "root", "out", "cache", "time_limit", "log")
"""What :func:`aqakit.train` takes beside options."""


def make_recipe(
    method: str, *, data: str, backbone: str | Sequence[str], root: Path | str | None = None, **options: Any
) -> Recipe:
    """Build a recipe: assign each option to the method, the run or the training loop, and check it.

    Raises:
        OptionError: names are unknown or values are invalid; the message lists all of them.
    """
    owners = {f"method {method}": discovery.find("methods", method).build, "the run": run_options, "training": Settings}
    own, shared, settings = configuration.assign(owners, options, {"the call": _CALL})
    name, data_options = discovery.parse_spec(data)
    chosen = [discovery.parse_spec(text) for text in ([backbone] if isinstance(backbone, str) else backbone)]
    for known, _ in chosen:  # a misspelt name is found before any data are loaded
        discovery.file_of("backbones", known)
    loop_settings = Settings(**settings)
    loop_settings.check()
    return Recipe(
        method=method,
        options=own,
        data=name,
        root=str(user_path(root)) if root is not None else None,
        data_options=data_options,
        backbones=tuple(chosen),
        settings=loop_settings,
        **_settled(shared),
    )


def _settled(options: dict[str, Any]) -> dict[str, Any]:
    """Settle what does not wait for the data: how many members there are, and that live pixels are not summarised.

    Raises:
        OptionError: several members together with an option that is for one.
    """
    alone = [n for n, given in (("finetune", options["finetune"]), ("validation", options["validation"] > 0)) if given]
    if options["members"] and options["members"] > 1 and alone:
        raise OptionError(f"{option(alone[0])} is for a single model; leave it out, or give {option('members', 1)}")
    whole = options["finetune"] and options["summarise"] == "auto"
    members = options["members"] or (1 if alone else AUTO)
    return {**options, "members": members, "summarise": 0 if whole else options["summarise"]}


def _windows(value: object) -> object:
    if value == "auto" or (isinstance(value, int) and value >= 0) or str(value).isdecimal():
        return value
    raise ValueError("should be a number of windows, 0 to keep every clip, or auto")


def _shift(value: object) -> object:
    """A number of frames in either direction, or the first and last of a range."""
    found = (
        re.fullmatch(r"(-?\d{1,6})\s*(?:\.\.|…|:)\s*(-?\d{1,6})", value, re.ASCII) if isinstance(value, str) else None
    )
    ends = (int(found[1]), int(found[2])) if found else tuple(value) if isinstance(value, list | tuple) else None
    if ends is not None:
        if len(ends) == 2 and all(type(end) is int for end in ends) and ends[0] <= ends[1]:
            return ends[1] if ends[0] == -ends[1] else ends
    elif str(value).isdecimal():
        return int(str(value))
    raise ValueError("should be a number of frames, such as 3, or a range from low to high, such as 0..6")


def run_options(
    *,
    task: Annotated[str | None, Field(description="the action to learn, for a data set with several")] = None,
    protocol: Annotated[str | None, Field(description="name of the splits, or all to train on everything")] = None,
    fold: Annotated[str | None, Field(description="name of the fold (default: the first)")] = None,
    target: Annotated[Target, Field(description="total: learn score ÷ declared difficulty")] = "score",
    fuse: Annotated[Fuse, Field(description="concat: join the features of several backbones")] = "none",
    finetune: Annotated[bool, Field(description="train the backbone too, from pixels")] = False,
    summarise: Annotated[
        Summarise,
        BeforeValidator(_windows),
        Field(description="windows to summarise a video's clips in: mean, spread, change; 0: none; auto: if long"),
    ] = "auto",
    standardise: Annotated[
        Literal["auto", "yes", "no"],
        Field(description="standardise feature channels, fitted on the training set; auto: measures and summaries"),
    ] = "auto",
    engine: Annotated[engines.Name, Field(description="inference engine for frozen backbones")] = "auto",
    precision: Annotated[
        engines.Precision, Field(description="precision of the backbones; int8 distorts features: measure first")
    ] = "float32",
    calibration: Annotated[str | None, Field(description="a representative recording, to calibrate int8")] = None,
    shift: Annotated[
        Shift,
        BeforeValidator(_shift),
        Field(description="random shift of the window in training, in frames: 3 for −3 to 3, or a range such as 0..6"),
    ] = 0,
    flip: Annotated[bool, Field(description="flip training videos horizontally with probability 1/2")] = False,
    jitter: Annotated[int, Field(ge=0, description="maximum random shift of the picture in training, in pixels")] = 0,
    frame_storage: Annotated[
        Storage, Field(description="decoded frames in the cache of --finetune; jpeg takes an eighth, with a small loss")
    ] = "raw",
    members: Annotated[
        int | None,
        Field(ge=1, description="models, each trained without one part of the samples (5; 1 to finetune or validate)"),
    ] = None,
    parts: Annotated[
        Parts, Field(description="what members leave out: groups, or samples if the protocol shares groups")
    ] = "auto",
    scale_target: Annotated[
        bool, Field(description="centre and scale the target on the training scores, and start the last layer there")
    ] = True,
    validation: Annotated[
        float, Field(ge=0, lt=1, description="fraction of training samples held out; whole groups if there are groups")
    ] = 0.0,
    recalibrate: Annotated[
        recalibration.Name, Field(description="how intervals are recalibrated on the held-out samples")
    ] = "conformal",
    pairs: Annotated[
        str | None, Field(description="CSV of comparisons, better,worse[,weight] by id, to learn from: beside or alone")
    ] = None,
    labels: Annotated[
        str | None,
        AfterValidator(lambda share: share and partial_labels.check_share(share)),
        Field(description="training samples that keep labels: 10%, 40, random:10%, or column:NAME (all)"),
    ] = None,
    transductive: Annotated[
        bool, Field(description="train on the test samples too, without their labels; every table will say so")
    ] = False,
) -> None:
    """Declare the options of a run that belong to no method; this signature is their only list."""


def label_notes(labels: str | None, transductive: bool) -> list[str]:
    """Return notes for a table: which labels were used, and whether the test samples were trained on."""
    kept = str(labels).removeprefix(partial_labels.RANDOM)
    how = ", drawn without regard to the scores," if kept != labels else ""
    few = f"labels: {kept} of the scored training samples{how} kept their labels; the others were used without labels."
    seen = "transductive: the test samples were used in training, without their labels."
    return [few] * bool(labels) + [seen] * transductive


def make_engine(recipe: Recipe) -> Engine:
    """Make the engine that runs the frozen backbones of a recipe."""
    calibration = user_path(recipe.calibration) if recipe.calibration else None
    name = "torch" if recipe.finetune and recipe.engine == "auto" else recipe.engine
    return engines.make(name, recipe.precision, calibration)


def assemble_members(recipe: Recipe, labels: LabelSpec) -> Ensemble:
    """Build the untrained members of a run; each has its own initial weights."""
    if recipe.members == 1:
        return Ensemble([assemble_run(recipe, labels)])
    backbones, members = build_backbones(recipe.backbones, recipe.settings.seed), []
    for seed in member_seeds(recipe):
        torch.manual_seed(seed)
        members.append(assemble_run(recipe, labels, backbones))
    return Ensemble(members)


def member_seeds(recipe: Recipe) -> list[int]:
    """The seed of each member; no two runs share one."""
    return [recipe.settings.seed * recipe.members + k for k in range(recipe.members)]


def assemble_run(recipe: Recipe, labels: LabelSpec, backbones: Mapping[str, Backbone] | None = None) -> Assessor:
    """Build an untrained assessor; the run's seed sets its initial weights unless ``backbones`` are given."""
    return assemble(
        recipe.method,
        recipe.options,
        backbones
        or build_backbones(recipe.backbones, recipe.settings.seed),  # which seeds the method's weights as well
        labels,
        target=recipe.target,
        fuse=recipe.fuse,
        finetune=recipe.finetune,
        summarise=recipe.windows,
        standardise=recipe.standardise,
        precision=getattr(torch, recipe.precision),
    )
