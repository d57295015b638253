"""Compute the clip features of samples with backbones, once, and cache them on disk.

May import ``backbones`` and the rooms on its left.
"""

from typing import TYPE_CHECKING

from aqakit.discovery import lazily

if TYPE_CHECKING:
    from aqakit.features import dataset

__all__ = ["dataset"]

__getattr__, __dir__ = lazily(__name__, {name: name for name in __all__})
