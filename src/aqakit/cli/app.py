"""The command ``aqakit``: a group whose commands are files in this folder, imported when they are called."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from aqakit import __version__, discovery
from aqakit.cli.common import complain
from aqakit.cli.lazy import Command, command_of, lazy_group
from aqakit.discovery import docstring_line
from aqakit.errors import AqakitError
from aqakit.system import processes, progress, terminal, wording

COMMANDS = (
    "demo", "new", "check", "pose", "extract", "rank", "train", "predict", "evaluate", "explain", "repetitions",
    "compare", "report", "export", "serve", "benchmark", "table", "reproduce", "methods", "datasets", "backbones",
    "weights",
)  # fmt: skip
"""In the order of a typical workflow."""


def _lines() -> dict[str, str]:
    return {name: docstring_line(Path(__file__).with_name(f"{name}.py"), name) for name in COMMANDS}


def _load(name: str, completing: bool) -> Command:
    module = discovery.import_module(f"aqakit.cli.{name}")
    if hasattr(module, "command"):  # options from signatures that need PyTorch, or subcommands
        made: Command = module.command(completing)
        return made
    return command_of(getattr(module, name), name)


app = typer.Typer(
    name="aqakit",
    cls=lazy_group(_lines, _load),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"aqakit {__version__}")
        raise typer.Exit


@app.callback()
def _app(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Score how well an action is performed: train, compare and use Action Quality Assessment systems."""
    context.with_resource(wording.on_command_line())


def main() -> None:
    """Run the command line. A user error prints one sentence and sets the exit code, without a traceback."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # from here on, what was begun is put away
        signal.signal(signal.SIGINT, signal.default_int_handler)
        discovery.in_command = True
    terminal.print_anything()
    if left := processes.forget_leftovers():
        terminal.say_once(f"{' and '.join(left)} are not of torchrun, which sets MASTER_ADDR too, and are ignored")
        progress.console.quiet = False
    for folder in discovery.plugin_folders():
        terminal.say_once(f"AQAKIT_PLUGINS: the code in {folder} is executed when one of its names is used")
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except AqakitError as error:
        complain(f"aqakit: {error}")
        sys.exit(error.exit_code)
    except OSError as error:  # a full disk, a folder without write permission
        complain(f"aqakit: {error.filename or 'a file'}: {error.strerror or error}")
        sys.exit(1)
