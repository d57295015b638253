"""Listings of methods, data sets and backbones: one line each, without importing any, or one in full."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aqakit import discovery, system
from aqakit.cli.options import shown
from aqakit.report import tables

Facts = Callable[[str], Mapping[str, Any]]
"""Returns the facts of one item, by name."""


def show(kind: str, name: str | None, json: Path | None, *, facts: Facts, function: str) -> None:
    """Print one line for each item, or all facts and options of one. The JSON always has all facts.

    Args:
        kind: ``methods``, ``datasets`` or ``backbones``.
        name: one of them; None for all.
        json: file for the facts; ``-`` for standard output.
        facts: returns the facts of one item.
        function: name of the function whose keyword-only parameters are the options.
    """
    names = [name] if name else discovery.names(kind)
    with tables.beside(json):
        if name:
            _details(kind, name, facts(name), function)
        else:
            tables.show([{"name": n, "what": discovery.first_line(kind, n)} for n in names])
            tables.note(f"`aqakit {kind} NAME` shows one in full.")
    if json:
        tables.write([facts(n) for n in names], json, "json")


def option_text(function: Callable[..., Any]) -> str:
    """Return all options with their defaults, in one line."""
    found = system.configuration.options(function)
    return ", ".join(o.name if o.required else f"{o.name}={shown(o.default)}" for o in found)


def _details(kind: str, name: str, facts: Mapping[str, Any], function: str) -> None:
    tables.show_fields({n: v for n, v in facts.items() if n not in ("name", "options")}, title=name)
    found = system.configuration.options(getattr(discovery.find(kind, name), function))
    rows = [{"option": o.name, "default": "" if o.required else shown(o.default), "what": o.help} for o in found]
    if rows:
        tables.show(rows, title="options")
