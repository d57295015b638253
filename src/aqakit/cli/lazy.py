"""Groups whose commands are loaded when they are called; until then only their help lines are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from aqakit.cli.outputs import with_output
from aqakit.system.files import user_path

Command = TyperCommand | TyperGroup
Load = Callable[[str, bool], Command]
"""(name, whether the shell only asks for completions) → the command."""


def lazy_group(lines: Callable[[], Mapping[str, str]], load: Load) -> type[TyperGroup]:
    """Return a group class for :class:`typer.Typer` that loads commands when they are called.

    Args:
        lines: returns the first help line of each command, by name and in order.
        load: returns the command itself.
    """

    class LazyGroup(TyperGroup):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.commands = {name: TyperCommand(name, help=line) for name, line in lines().items()}

        def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
            name, found, rest = super().resolve_command(ctx, args)
            if name is None or found is None:
                return name, found, rest
            return name, load(name, bool(ctx.resilient_parsing)), rest

    return LazyGroup


def command_of(function: Callable[..., None], name: str, help: str | None = None) -> Command:  # noqa: A002
    """Make a typer command from a function."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(name, help=help)(at_home(with_output(function)))
    made: Any = typer.main.get_command(app)
    return made


def at_home(function: Callable[..., None]) -> Callable[..., None]:
    """Return a command that gets its paths with ``~`` replaced: shells do not do it after ``--out=`` or in quotes."""

    @wraps(function)
    def command(**given: Any) -> None:
        function(**{name: _expanded(value) for name, value in given.items()})

    return command


def _expanded(value: Any) -> Any:
    if isinstance(value, list):
        return [_expanded(item) for item in value]
    return user_path(value) if isinstance(value, Path) else value


def group_of(app: typer.Typer) -> Command:
    """Make a typer group from an app."""
    made: Any = typer.main.get_command(app)
    return made
