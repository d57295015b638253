"""Evaluation metrics of predictions, given the true scores.

May import ``scores`` and ``system``. ``accuracy`` uses only the means, ``scoring`` and ``calibration`` the whole
distributions, ``summary`` computes one row of all of them; ``comparison`` tests which methods differ beyond noise.
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
