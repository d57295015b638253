"""The command line: thin. Options are made from the signatures of ``build()``, of the run and of the loop."""

from __future__ import annotations

import sys

import typer

from aqakit.cli import comparing, judging, listing, training
from aqakit.cli.common import complain
from aqakit.errors import AqakitError

app = typer.Typer(name="aqakit", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def _app() -> None:
    """Score how well an action is performed: train, compare and use Action Quality Assessment systems."""


app.command()(training.demo)
app.command()(listing.methods)
app.command(name="datasets")(listing.list_datasets)
app.command()(listing.backbones)
app.command()(listing.check)
app.command()(training.extract)
app.command()(judging.predict)
app.command()(judging.evaluate)
app.command()(judging.explain)
app.command()(judging.serve)
app.command(name="report")(judging.write_report)
app.command()(comparing.reproduce)
app.command(name="benchmark")(comparing.benchmark)
app.add_typer(training.train_commands(), name="train", help="Train a method on a data set.")
app.add_typer(listing.weights_app, name="weights", help="Published weights: list them, or get one.")


def main() -> None:
    """Run the command line; a user's mistake is one sentence and an exit code, never a traceback."""
    try:
        app()
    except AqakitError as error:
        complain(f"aqakit: {error}")
        sys.exit(error.exit_code)
    except OSError as error:  # a full disk, a folder that may not be written
        complain(f"aqakit: {error.filename or 'a file'}: {error.strerror or error}")
        sys.exit(1)
