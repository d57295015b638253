"""Build backbones from their names and options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from aqakit import discovery
from aqakit.backbones.parts.base import Backbone
from aqakit.errors import OptionError
from aqakit.system import configuration


def build_backbones(chosen: Sequence[tuple[str, Mapping[str, Any]]], seed: int) -> dict[str, Backbone]:
    """Build backbones and return them by name; weights that are not from a file are drawn from the seed.

    A second backbone of the same name, with other options, is called ``name_2``.
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
