"""Action Quality Assessment: from a video or recorded motion to a score and its uncertainty.

>>> import aqakit
>>> aqakit.train("dae", data="manifest", root="my.csv", backbone="c3d_small", out="runs/dae")  # doctest: +SKIP
>>> aqakit.load("runs/dae").predict("dive.mp4").interval(0.9)  # doctest: +SKIP
"""

from aqakit.errors import AqakitError
from aqakit.protocols import benchmark
from aqakit.runs import Run, train

load = Run.load

__all__ = ["AqakitError", "Run", "benchmark", "load", "train"]
