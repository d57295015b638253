"""Command-line options made from signatures, the same way for methods, runs and the training loop."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, get_args, get_origin

import typer

from aqakit import discovery, system, training
from aqakit.errors import OptionError

BACKBONE = "backbone, as name or name:option=value; may be repeated"


def generated(panel: str, function: Callable[..., Any]) -> list[inspect.Parameter]:
    """Make an option from each keyword-only parameter. Values stay text; their owner validates them."""
    made = []
    for one in system.configuration.options(function):
        flags = _flags(one.name, isinstance(one.default, bool))
        text = one.help + ("" if one.default is None else f" ({shown(one.default)})")
        more: dict[str, Any] = {"required": one.required, "rich_help_panel": panel}
        if isinstance(one.default, bool):
            made.append(option(one.name, text, *flags, kind=bool, **more))
        else:
            made.append(option(one.name, text, *flags, metavar=_metavar(one.annotation), **more))
    return made


def run_and_loop(completing: bool) -> list[inspect.Parameter]:
    """Return the options of the run and of the training loop."""
    if completing:
        room = discovery.PACKAGE / "training"
        run = discovery.option_names(room / "recipe.py", "run_options")
        return named(run | discovery.option_names(room / "settings.py", "Settings"))
    run_options, settings = training.recipe.run_options, training.settings.Settings
    return [*generated("Options of the run", run_options), *generated("Options of training", settings)]


def named(names: Mapping[str, bool]) -> list[inspect.Parameter]:
    """Make options for shell completion, which only needs their names and which of them are switches."""
    return [option(n, "", *_flags(n, switch), kind=bool if switch else str) for n, switch in names.items()]


def option(
    name: str, text: str, *flags: str, required: bool = False, kind: Any = str, **more: Any
) -> inspect.Parameter:
    """Make one option. It is None if not given, so that the default of the original signature applies."""
    info = typer.Option(*flags, help=text, show_default=False, **more)
    wanted: Any = kind if required else kind | None
    annotation = Annotated[wanted, info]
    default = inspect.Parameter.empty if required else None
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


def with_signature(function: Callable[..., None], parameters: list[inspect.Parameter]) -> Callable[..., None]:
    """Return a function that typer sees with these parameters."""

    def command(**given: Any) -> None:
        function(**given)

    command.__doc__ = function.__doc__
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


def _flags(name: str, switch: bool) -> list[str]:
    flag = "--" + name.replace("_", "-")
    return [f"{flag}/--no-{flag[2:]}"] if switch else [flag]


def shown(value: object) -> str:
    """Format a default as a user would type it."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _metavar(annotation: Any) -> str:
    inner = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    found, kinds = (inner, *get_args(inner)), {int: "INTEGER", float: "NUMBER"}
    choices = [str(value) for a in found if get_origin(a) is Literal for value in get_args(a)]
    numbers = [kinds[a] for a in found if a in kinds]
    return "|".join([*choices, *numbers]) or "TEXT"


def with_weights(chosen: Sequence[str], weights: str | None) -> list[str]:
    """Pass ``--weights`` to the one backbone that has such an option."""
    if weights is None:
        return list(chosen)
    takers = [c for c in chosen if "weights" in _backbone_options(c)]
    if len(takers) != 1:
        raise OptionError(f"--weights fits {len(takers)} of these backbones; write NAME:weights=PATH instead")
    return [f"{c}:weights={weights}" if c == takers[0] else c for c in chosen]


def _backbone_options(spec: str) -> list[str]:
    name, given = discovery.parse_spec(spec)
    return [
        o.name for o in system.configuration.options(discovery.find("backbones", name).build) if o.name not in given
    ]


def given_only(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that were given."""
    return {name: value for name, value in values.items() if value is not None}


def names(text: str) -> list[str]:
    """Split a comma-separated list."""
    return [name for name in text.split(",") if name]
