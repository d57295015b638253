"""Action Quality Assessment: from a video or recorded motion to a score and its uncertainty.

>>> import aqakit
>>> aqakit.train("dae", data="manifest", root="my.csv", backbone="c3d_small", out="runs/dae")  # doctest: +SKIP
>>> aqakit.load("runs/dae").predict("dive.mp4").interval(0.9)  # doctest: +SKIP
"""

import importlib
from typing import TYPE_CHECKING, Any

from aqakit.errors import AqakitError

if TYPE_CHECKING:
    from aqakit.protocols import benchmark
    from aqakit.runs import Run, load, train

__all__ = ["AqakitError", "Run", "benchmark", "load", "train"]

_WHERE = {"Run": "runs", "load": "runs", "train": "runs", "benchmark": "protocols"}


def __getattr__(name: str) -> Any:
    # PyTorch takes seconds to import: a process that only renders or reads does not wait for it
    if name in _WHERE:
        return getattr(importlib.import_module(f"aqakit.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'aqakit' has no attribute {name!r}")
