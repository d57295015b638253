"""Backbones built from their names and options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from aqakit import discovery
from aqakit.backbones.parts.base import Backbone
from aqakit.errors import OptionError
from aqakit.system import configuration


def build_backbones(chosen: Sequence[tuple[str, Mapping[str, Any]]], seed: int) -> dict[str, Backbone]:
    """Backbones by name; weights that come from no file are drawn from the seed.

    A second one of the same name, with other options, is ``name_2``.
    """
    torch.manual_seed(seed)
    built: dict[str, Backbone] = {}
    for position, (name, options) in enumerate(chosen):
        module = discovery.find("backbones", name)
        number = 1 + [other for other, _ in chosen[:position]].count(name)
        key = name if number == 1 else f"{name}_{number}"
        built[key] = module.build(**configuration.configure(f"backbone {name}", module.build, options))
    if not built:
        raise OptionError("no backbone was named; see `aqakit backbones`")
    return built
