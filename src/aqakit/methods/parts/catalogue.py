"""Table of all methods: input features, number of parameters as published, loss and paper."""

from __future__ import annotations

import inspect
import re
from typing import Any

import torch

from aqakit import discovery
from aqakit.types import FeatureSpec, LabelSpec, ScoreScale

DIVING = LabelSpec(
    scale=ScoreScale(0, 104.5),
    total=ScoreScale(0, 30),
    judges=7,
    marks=ScoreScale(0, 10),
    rule="diving",
    attributes={"position": 3, "armstand": 2, "rotation_type": 4, "somersaults": 10, "twists": 8},
    vocabulary=tuple(f"word{n}" for n in range(5777)),
    steps=tuple(f"step{n}" for n in range(24)),
    boundaries=2,
)
"""The labels of MTL-AQA, on which most methods were published; its vocabulary has 5779 tokens with start and end.

The steps are as many as RICA² has there. The boundaries are those of FineDiving, for methods that need them.
"""


def methods() -> list[dict[str, Any]]:
    """Return a row for each method, built with defaults on the features of its paper and the labels of MTL-AQA."""
    return [method(name) for name in discovery.names("methods")]


def method(name: str) -> dict[str, Any]:
    """Return the row of one method."""
    module = discovery.find("methods", name)
    with torch.random.fork_rng(devices=[]):
        built = module.build(module.FEATURES, DIVING)
    parameters = sum(p.numel() for p in built.parameters())
    return {
        "name": name,
        "what": discovery.summary(module),
        "reads": reads(module.FEATURES),
        "parameters": parameters or None,
        "losses": _plain((inspect.getdoc(type(built).losses) or "").splitlines()[0]),
        "paper": short(module.PAPER),
        "citation": module.PAPER,
    }


def short(paper: str) -> str:
    """Shorten a citation to authors and year.

    >>> short("Tang et al., Uncertainty-aware Score Distribution Learning, CVPR 2020. https://arxiv.org/abs/2006.07665")
    'Tang et al. 2020'
    """
    year = re.search(r"\b(19|20)\d\d\b", paper)
    return paper.split(",")[0] + (f" {year[0]}" if year else "")


def reads(features: FeatureSpec) -> str:
    """Describe the features of one clip.

    >>> reads(FeatureSpec({"dynamic": (1024,), "static": (2048,)}))
    '1024 (dynamic) and 2048 (static)'
    >>> reads(FeatureSpec({"skeleton": (17, 32)}))
    '17 joints × 32 (skeleton)'
    """
    return " and ".join(f"{_size(shape)} ({name})" for name, shape in features.streams.items())


def _plain(text: str) -> str:
    """Remove docstring markup."""
    return re.sub(r":\w+:`[~.]*(?:\w+\.)*(\w+)`|``", r"\1", text)


def _size(shape: tuple[int, ...]) -> str:
    if len(shape) == 2:
        return f"{shape[0]} joints × {shape[1]}"
    return "×".join(map(str, shape))
