"""A run and a recording come in, an explanation of the score goes out: clips, measures in words, occlusion.

May import ``evaluation`` and the rooms on its left.
"""

from typing import TYPE_CHECKING

from aqakit.discovery import lazily

if TYPE_CHECKING:
    from aqakit.explanation import contributions, measures, moments, whole

__all__ = ["contributions", "measures", "moments", "whole"]

__getattr__, __dir__ = lazily(__name__, {name: name for name in __all__})
