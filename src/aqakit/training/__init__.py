"""Turn a recipe into a run: data, batches, the training loop, the run folder and scores for new recordings.

May import ``methods`` and the rooms on its left.
"""

from typing import TYPE_CHECKING

from aqakit.discovery import lazily

if TYPE_CHECKING:
    from aqakit.training import export, exported, journal, recipe, rows, run, scoring, settings, starting, train

__all__ = ["export", "exported", "journal", "recipe", "rows", "run", "scoring", "settings", "starting", "train"]

__getattr__, __dir__ = lazily(__name__, {name: name for name in __all__})
