"""``aqakit backbones``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from aqakit import discovery
from aqakit.cli import listing
from aqakit.cli.common import JsonFile


def backbones(
    name: Annotated[str | None, typer.Argument(help="Show this backbone in full.")] = None,
    json: JsonFile = None,
) -> None:
    """List backbones, or show one with its paper and options."""
    listing.show("backbones", name, json, facts=_facts, function="build")


def _facts(name: str) -> Mapping[str, Any]:
    module = discovery.find("backbones", name)
    what, options = discovery.summary(module), listing.option_text(module.build)
    return {"name": name, "what": what, "paper": module.PAPER, "options": options}
