"""The options of every command with result tables: ``--json``, ``--latex``, ``--markdown`` and ``--wide``.

A command that takes a parameter ``output`` (:class:`~aqakit.report.output.Output`) has them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from aqakit.cli.common import JsonFile
from aqakit.report.output import Output

_OPTIONS: dict[str, tuple[Any, Any]] = {
    "json": (JsonFile, None),
    "latex": (
        Annotated[Path | None, typer.Option("--latex", help="Write the table as LaTeX, for booktabs, best in bold.")],
        None,
    ),
    "markdown": (Annotated[Path | None, typer.Option("--markdown", help="Write the table as Markdown.")], None),
    "wide": (Annotated[bool, typer.Option("--wide", help="Show all columns, however wide the table.")], False),
}


def parameters() -> list[inspect.Parameter]:
    """Return the options as parameters of a command."""
    kind = inspect.Parameter.KEYWORD_ONLY
    return [inspect.Parameter(n, kind, annotation=a, default=d) for n, (a, d) in _OPTIONS.items()]


def taken(values: dict[str, Any]) -> Output:
    """Take the values of the options out of those of a command."""
    given: dict[str, Any] = {name: values.pop(name, default) for name, (_, default) in _OPTIONS.items()}
    return Output(**given)


def with_output(function: Callable[..., None]) -> Callable[..., None]:
    """Return a command with the options in place of its parameter ``output``; the command itself if it has none."""
    signature = inspect.signature(function, eval_str=True)
    if "output" not in signature.parameters:
        return function

    @wraps(function)
    def command(**given: Any) -> None:
        function(output=taken(given), **given)

    own = [p.replace(kind=p.KEYWORD_ONLY) for p in signature.parameters.values() if p.name != "output"]
    every = [*own, *parameters()]
    command.__signature__ = signature.replace(parameters=every)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in every}
    return command
