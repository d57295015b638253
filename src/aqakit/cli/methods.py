"""``aqakit methods``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from aqakit import methods as methods_room
from aqakit.cli import listing
from aqakit.cli.common import JsonFile


def methods(
    name: Annotated[str | None, typer.Argument(help="One method, to see all that is known of it.")] = None,
    json: JsonFile = None,
) -> None:
    """Every method in a line; of one, what it reads, its parameters, what it minimises, its paper and options."""
    listing.show("methods", name, json, facts=_facts, function="build")


def _facts(name: str) -> Mapping[str, Any]:
    return methods_room.catalogue.method(name)
