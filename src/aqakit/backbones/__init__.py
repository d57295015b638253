"""ONE FILE = ONE BACKBONE: clips of a recording come in, features go out.

May import ``recordings``, ``datasets`` and the rooms on its left.

A file ``backbones/<name>.py`` has ``PAPER`` (a citation with a link) and ``build(*, …options) -> Backbone``, whose
keyword-only parameters are the options of the backbone. A backbone is used in two steps, so that clips can be cached
and features can carry gradients:

1. ``read(path, window)`` yields the clips of a recording, one after another, as NumPy arrays;
2. ``forward(clips)`` maps a batch of clips (n, …) to features (n, *shape).

Shared code is in ``parts/``; published weights are in ``weights/``.
"""

from typing import TYPE_CHECKING

from aqakit.discovery import lazily

if TYPE_CHECKING:
    from aqakit.backbones.parts.base import Backbone

__all__ = ["Backbone"]

__getattr__, __dir__ = lazily(__name__, {"Backbone": "parts.base:Backbone"})
