"""Action Quality Assessment: from a video or recorded motion to a score and its uncertainty.

>>> import aqakit
>>> aqakit.train("dae", data="manifest", root="my.csv", backbone="c3d_small", out="runs/dae")  # doctest: +SKIP
>>> aqakit.load("runs/dae").predict("dive.mp4").interval(0.9)  # doctest: +SKIP
"""

from typing import TYPE_CHECKING

from aqakit.discovery import lazily
from aqakit.errors import AqakitError

if TYPE_CHECKING:
    from aqakit.evaluation.benchmark import Table, benchmark
    from aqakit.report.write import write_report
    from aqakit.scores.distributions import ScoreDistribution
    from aqakit.training.run import Run, load
    from aqakit.training.train import train

__version__ = "0.1.0"

__all__ = ["AqakitError", "Run", "ScoreDistribution", "Table", "benchmark", "load", "train", "write_report"]

__getattr__, _names = lazily(
    __name__,
    {
        "Run": "training.run:Run",
        "ScoreDistribution": "scores.distributions:ScoreDistribution",
        "Table": "evaluation.benchmark:Table",
        "benchmark": "evaluation.benchmark:benchmark",
        "load": "training.run:load",
        "train": "training.train:train",
        "write_report": "report.write:write_report",
    },
)


def __dir__() -> list[str]:
    return __all__
