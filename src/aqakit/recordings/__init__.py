"""Readers of recordings: frames of videos, kinematics, skeletons and precomputed features.

May import ``scores``, ``metrics`` and ``system``.
"""

from typing import TYPE_CHECKING

from aqakit.discovery import lazily

if TYPE_CHECKING:
    from aqakit.recordings import listing, segments

__all__ = ["listing", "segments"]

__getattr__, __dir__ = lazily(__name__, {"listing": "listing", "segments": "segments"})
