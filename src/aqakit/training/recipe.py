"""What a run is made from: names and options, checked together and kept as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import AfterValidator, Field

from aqakit import discovery
from aqakit.backbones.parts.base import Backbone
from aqakit.backbones.parts.building import build_backbones
from aqakit.datasets.parts import partial_labels
from aqakit.features import engines
from aqakit.features.engines import Engine
from aqakit.scores import recalibration
from aqakit.system import configuration
from aqakit.training.assessor import Assessor, Fuse, Target, assemble
from aqakit.training.settings import Settings
from aqakit.types import LabelSpec


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything a run is made from, as JSON values.

    Attributes:
        method: its name; ``options`` are those of its ``build``.
        data: name of the data set, with ``root`` and ``data_options``.
        task: the action to learn, for a data set of several.
        protocol: name of the splits; ``all`` learns from every scored sample and tests on none.
        fold: name of the fold; the first one where None.
        backbones: (name, options) of each.
        validation: share of the training samples held out to select an epoch and to recalibrate.
        recalibrate: what is fitted on them, a kind of :mod:`aqakit.scores.recalibration`.
        labels: which training samples keep their labels, as
            :func:`aqakit.datasets.parts.partial_labels.choose_labelled` reads it; all where None.
        transductive: whether the test samples are learnt from too, as unlabelled ones.
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
    summarise: int = 0
    standardise: Literal["auto", "yes", "no"] = "auto"
    engine: engines.Name = "torch"
    precision: engines.Precision = "float32"
    calibration: str | None = None
    shift: int = 0
    flip: bool = False
    jitter: int = 0
    validation: float = 0.0
    recalibrate: recalibration.Name = "conformal"
    labels: str | None = None
    transductive: bool = False
    settings: Settings = field(default_factory=Settings)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Recipe:
        """The recipe that :meth:`to_json` was called on."""
        backbones = tuple((name, options) for name, options in stored["backbones"])
        return cls(**{**stored, "backbones": backbones, "settings": Settings(**stored["settings"])})

    def to_json(self) -> dict[str, Any]:
        """JSON values, from which :meth:`from_json` makes the same recipe."""
        stored: dict[str, Any] = json.loads(json.dumps(asdict(self), default=str))
        return stored


def make_recipe(
    method: str, *, data: str, backbone: str | Sequence[str], root: Path | str | None = None, **options: Any
) -> Recipe:
    """Sort options into those of the method, of the recipe and of the loop, and check all of them.

    Raises:
        OptionError: unknown names and bad values, all at once.
    """
    loop = {f.name for f in fields(Settings)}
    own = {o.name for o in configuration.options(run_options)}
    module = discovery.find("methods", method)
    shared = {n: v for n, v in options.items() if n in own}
    settings = {n: v for n, v in options.items() if n in loop}
    theirs = {n: v for n, v in options.items() if n not in own and n not in loop}
    name, data_options = discovery.parse_spec(data)
    chosen = [backbone] if isinstance(backbone, str) else list(backbone)
    return Recipe(
        method=method,
        options=configuration.configure(f"method {method}", module.build, theirs),
        data=name,
        root=str(root) if root is not None else None,
        data_options=data_options,
        backbones=tuple(discovery.parse_spec(text) for text in chosen),
        settings=Settings(**configuration.configure("training", Settings, settings)),
        **configuration.configure("run", run_options, shared),
    )


def run_options(
    *,
    task: Annotated[str | None, Field(description="the action to learn, for a data set of several")] = None,
    protocol: Annotated[str | None, Field(description="name of the splits, or all to train on everything")] = None,
    fold: Annotated[str | None, Field(description="name of the fold (the first)")] = None,
    target: Annotated[Target, Field(description="total: learn score ÷ declared difficulty")] = "score",
    fuse: Annotated[Fuse, Field(description="concat: join the features of several backbones")] = "none",
    finetune: Annotated[bool, Field(description="train the backbone too, from pixels")] = False,
    summarise: Annotated[
        int, Field(ge=0, description="summarise each video's clips in so many windows: mean, spread, change; 0: do not")
    ] = 0,
    standardise: Annotated[
        Literal["auto", "yes", "no"], Field(description="scale feature channels on the training set")
    ] = "auto",
    engine: Annotated[engines.Name, Field(description="what runs frozen backbones")] = "torch",
    precision: Annotated[
        engines.Precision, Field(description="of the backbones' arithmetic; int8 distorts features: measure first")
    ] = "float32",
    calibration: Annotated[str | None, Field(description="a recording like those to come, for int8")] = None,
    shift: Annotated[int, Field(ge=0, description="largest shift of the window in training, in frames")] = 0,
    flip: Annotated[bool, Field(description="mirror half of the training videos")] = False,
    jitter: Annotated[int, Field(ge=0, description="largest move of the picture in training, in pixels")] = 0,
    validation: Annotated[
        float, Field(ge=0, lt=1, description="share of training samples held out, whole groups where there are")
    ] = 0.0,
    recalibrate: Annotated[
        recalibration.Name, Field(description="how intervals are fitted to the held-out samples")
    ] = "conformal",
    labels: Annotated[
        str | None,
        AfterValidator(lambda share: share and partial_labels.check_share(share)),
        Field(description="training samples that keep their labels: 10%, 40, or column:NAME of the manifest; else all"),
    ] = None,
    transductive: Annotated[
        bool, Field(description="learn from the test samples too, without their labels; every table will say so")
    ] = False,
) -> None:
    """The options of a run that belong to no method: this signature is their only list."""


def supervision(labels: str | None, transductive: bool) -> list[str]:
    """Sentences for a table: how few labels were learnt from, and whether the test samples were seen."""
    few = f"labels: {labels} of the scored training samples kept theirs, the others were learnt from without."
    seen = "transductive: the test samples were learnt from, without their labels."
    return [few] * bool(labels) + [seen] * transductive


def make_engine(recipe: Recipe) -> Engine:
    """What runs the frozen backbones of a recipe."""
    calibration = Path(recipe.calibration) if recipe.calibration else None
    return engines.make(recipe.engine, recipe.precision, calibration)


def assemble_run(recipe: Recipe, labels: LabelSpec, backbones: Mapping[str, Backbone] | None = None) -> Assessor:
    """An untrained assessor; its weights come from the run's seed unless its backbones are there already."""
    return assemble(
        recipe.method,
        recipe.options,
        backbones
        or build_backbones(recipe.backbones, recipe.settings.seed),  # which seeds the method's weights as well
        labels,
        target=recipe.target,
        fuse=recipe.fuse,
        finetune=recipe.finetune,
        summarise=recipe.summarise,
        standardise=recipe.standardise,
        precision=getattr(torch, recipe.precision),
    )
