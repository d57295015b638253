"""``aqakit methods``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from aqakit import methods as methods_room
from aqakit.cli import listing
from aqakit.cli.common import JsonFile


def methods(
    name: Annotated[str | None, typer.Argument(help="Show this method in full.")] = None,
    json: JsonFile = None,
) -> None:
    """List methods, or show one with its paper and options.

    For one method, also show what it reads, its number of parameters and the
    losses that it minimises.
    """
    listing.show("methods", name, json, facts=_facts, function="build")


def _facts(name: str) -> Mapping[str, Any]:
    return methods_room.catalogue.method(name)
