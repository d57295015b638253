"""``aqakit new``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aqakit import training
from aqakit.cli.common import JsonFile, complain
from aqakit.errors import OptionError
from aqakit.report import tables
from aqakit.system import terminal

if TYPE_CHECKING:
    from aqakit.training.starting import Started

_NAMES = {"video": "videos", "signal": "tables of motion", "skeleton": "files of joints", "features": "features"}


def new(
    folder: Annotated[Path, typer.Argument(help="Folder of videos, folders of frames, tables of motion, or joints.")],
    reads: Annotated[
        str | None, typer.Option(help="Kind of recording to take: video, signal, skeleton or features (most frequent).")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Pretrained networks to use, a file or folder (those downloaded before).")
    ] = None,
    json: JsonFile = None,
) -> None:
    """Start with a folder of recordings: write a manifest to fill in, and print the next commands.

    The manifest is written to the folder twice, as manifest.csv and as
    manifest.xlsx with a picture of each video: fill in either. Called again,
    only new recordings are added; nothing that is filled in is changed.
    """
    if reads is not None and reads not in _NAMES:
        raise OptionError(f"--reads {reads} is not one of {', '.join(_NAMES)}")
    tables.check_files(json=json)
    started = training.starting.start(folder, reads, weights)
    for path, why in started.inventory.problems:
        complain(f"not listed: {why if str(path) in why else f'{path}: {why}'}")
    with tables.beside(json):
        for sentence in (*_said(started), *started.proposal.notes):
            terminal.line(sentence)
        terminal.line("Then:" if started.scored else f"Fill in the scores in {started.manifest}. Then:")
        for words in started.commands:
            terminal.line(shlex.join(words))
    tables.write([_row(started)], json, "json")


def _said(started: Started) -> list[str]:
    """What was found, what is taken, and what was written."""
    found = started.inventory
    said = [f"{found.folder} holds {' and '.join(f'{n} {_NAMES[kind]}' for kind, n in found.counts.items())}."]
    if len(found.counts) > 1:
        said.append(f"Of these, the {_NAMES[found.kind]} are taken; --reads takes others.")
    files = {name: n for name, n in started.added.items() if n}
    said += [f"{found.folder / name}: {n} row{'s' * (n != 1)} added." for name, n in files.items()]
    kept = ["Nothing that is filled in was changed."] if started.scored else []
    return [*said, *kept] if files else [*said, "Both manifests list all of them; nothing was changed."]


def _row(started: Started) -> dict[str, Any]:
    found = started.inventory
    return {
        "folder": str(found.folder),
        "reads": found.kind,
        "recordings": len(found.entries),
        "kinds": list(found.counts),
        "not_listed": [why for _, why in found.problems],
        "manifest": str(started.manifest),
        "scored": started.scored,
        "method": started.proposal.method,
        "backbone": started.proposal.backbone,
        "commands": [shlex.join(words) for words in started.commands],
        "notes": list(started.proposal.notes),
    }
