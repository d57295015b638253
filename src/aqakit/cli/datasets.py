"""``aqakit datasets``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from aqakit import discovery
from aqakit.cli import listing
from aqakit.cli.common import JsonFile


def datasets(
    name: Annotated[str | None, typer.Argument(help="One data set, to see all that is known of it.")] = None,
    json: JsonFile = None,
) -> None:
    """Every data set in a line; of one, its licence and options."""
    listing.show("datasets", name, json, facts=_facts, function="samples")


def _facts(name: str) -> Mapping[str, Any]:
    module = discovery.find("datasets", name)
    what, options = discovery.summary(module), listing.option_text(module.samples)
    return {"name": name, "what": what, "licence": module.LICENCE, "options": options}
