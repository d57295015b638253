"""Evaluate runs in tables: trivial baselines (floors), epoch selection rules, benchmarks, published results.

May import ``training`` and the rooms on its left.
"""

from typing import TYPE_CHECKING

from aqakit.discovery import lazily

if TYPE_CHECKING:
    from aqakit.evaluation import benchmark, finished_run, reproduction, selection, sweep

__all__ = ["benchmark", "finished_run", "reproduction", "selection", "sweep"]

__getattr__, __dir__ = lazily(__name__, {name: name for name in __all__})
