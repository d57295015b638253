"""``aqakit datasets``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from aqakit import discovery
from aqakit.cli import listing
from aqakit.cli.common import JsonFile


def datasets(
    name: Annotated[str | None, typer.Argument(help="Show this data set in full.")] = None,
    json: JsonFile = None,
) -> None:
    """List data sets, or show one with its licence and options."""
    listing.show("datasets", name, json, facts=_facts, function="samples")


def _facts(name: str) -> Mapping[str, Any]:
    module = discovery.find("datasets", name)
    what, options = discovery.summary(module), listing.option_text(module.samples)
    return {"name": name, "what": what, "licence": module.LICENCE, "options": options}
