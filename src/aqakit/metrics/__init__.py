"""Answers and true scores come in, numbers that judge them go out.

May import ``scores`` and ``system``. ``accuracy`` looks at the means only, ``scoring`` and ``calibration`` at the whole
distributions, ``summary`` gives one row of all of them; ``comparison`` tells which methods differ beyond noise.
"""

from typing import TYPE_CHECKING

from aqakit.discovery import lazily

if TYPE_CHECKING:
    from aqakit.metrics.bootstrap import bootstrap_interval
    from aqakit.metrics.summary import evaluate

__all__ = ["bootstrap_interval", "evaluate"]

__getattr__, __dir__ = lazily(
    __name__, {"bootstrap_interval": "bootstrap:bootstrap_interval", "evaluate": "summary:evaluate"}
)
