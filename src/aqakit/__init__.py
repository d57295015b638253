"""Action Quality Assessment: from a video or recorded motion to a score and its uncertainty.

>>> import aqakit
>>> aqakit.train("dae", data="manifest", root="my.csv", backbone="c3d_small", out="runs/dae")  # doctest: +SKIP
>>> aqakit.load("runs/dae").predict("dive.mp4").interval(0.9)  # doctest: +SKIP
"""

import signal
import sys
from typing import TYPE_CHECKING

# While a command imports its modules, an interrupt ends it at once and without a traceback. As a library, nothing is
# changed. `cli.app.main` sets the handler back.
_is_command = bool(sys.argv) and sys.argv[0].rsplit("/", 1)[-1] in ("-m", "aqakit")
if _is_command and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from aqakit.discovery import lazily  # noqa: E402
from aqakit.errors import AqakitError  # noqa: E402

if TYPE_CHECKING:
    from aqakit.evaluation.benchmark import Table, benchmark
    from aqakit.report.write import write_report
    from aqakit.scores.distributions import ScoreDistribution
    from aqakit.training.estimator import AqaRegressor
    from aqakit.training.run import Run, load
    from aqakit.training.train import train

__version__ = "0.1.0"

__all__ = [
    "AqaRegressor", "AqakitError", "Run", "ScoreDistribution", "Table", "benchmark", "load", "train", "write_report",
]  # fmt: skip

_ROOMS = ("datasets", "evaluation", "explanation", "metrics", "recordings", "report", "scores", "training")

__getattr__, _names = lazily(
    __name__,
    {room: room for room in _ROOMS}
    | {
        "AqaRegressor": "training.estimator:AqaRegressor",
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
