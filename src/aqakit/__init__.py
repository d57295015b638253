"""Action Quality Assessment: from a video or recorded motion to a score and its uncertainty.

>>> import aqakit
>>> run = aqakit.train("dae", data="jigsaws", root=…, task="Suturing", backbone="kinematics", out="runs/dae")  # doctest: +SKIP
>>> aqakit.load("runs/dae").predict("Suturing_B001.txt").interval(0.9)  # doctest: +SKIP
"""

from aqakit.errors import AqakitError
from aqakit.protocols import benchmark
from aqakit.runs import Run, train

load = Run.load

__all__ = ["AqakitError", "Run", "benchmark", "load", "train"]
