"""Command-line options made from signatures, the same way for methods, runs and the training loop."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, Literal, get_args, get_origin

import typer

from aqakit import discovery


def generated(panel: str, function: Callable[..., Any]) -> list[inspect.Parameter]:
    """An option for each keyword-only parameter; values stay text, and are checked where they belong."""
    made = []
    for one in discovery.options(function):
        flag = "--" + one.name.replace("_", "-")
        text = one.help + ("" if one.default is None else f" ({shown(one.default)})")
        more: dict[str, Any] = {"required": one.required, "rich_help_panel": panel}
        if isinstance(one.default, bool):
            made.append(option(one.name, text, f"{flag}/--no-{flag[2:]}", kind=bool, **more))
        else:
            made.append(option(one.name, text, flag, metavar=_metavar(one.annotation), **more))
    return made


def option(
    name: str, text: str, *flags: str, required: bool = False, kind: Any = str, **more: Any
) -> inspect.Parameter:
    """One option; without a value it is None, so that the default is the one of the signature it came from."""
    info = typer.Option(*flags, help=text, show_default=False, **more)
    wanted: Any = kind if required else kind | None
    annotation = Annotated[wanted, info]
    default = inspect.Parameter.empty if required else None
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


def with_signature(function: Callable[..., None], parameters: list[inspect.Parameter]) -> Callable[..., None]:
    """A function that typer sees with these parameters."""

    def command(**given: Any) -> None:
        function(**given)

    command.__doc__ = function.__doc__
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


def shown(value: object) -> str:
    """A default as it would be typed."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _metavar(annotation: Any) -> str:
    inner = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    choices = next((a for a in (inner, *get_args(inner)) if get_origin(a) is Literal), None)
    if choices is not None:
        return "|".join(map(str, get_args(choices)))
    kinds = {int: "INTEGER", float: "NUMBER"}
    return next((kinds[a] for a in (inner, *get_args(inner)) if a in kinds), "TEXT")
