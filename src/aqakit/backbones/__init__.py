"""ONE FILE = ONE BACKBONE: clips of a recording come in, features go out.

May import ``recordings`` and ``datasets`` and the rooms on their left.

A file ``backbones/<name>.py`` has ``PAPER`` (a citation with a link) and ``build(*, …options) -> Backbone``, whose
keyword-only parameters are the options of the backbone. A backbone is used in two steps, so that what is read can be
cached and what is computed can carry gradients:

1. ``read(path, window)`` turns a recording into clips, one after another, as NumPy arrays;
2. ``forward(clips)`` turns a batch of clips (n, …) into features (n, *shape).

What backbones share is in ``parts/``; published weights are in ``weights/``.
"""

from typing import TYPE_CHECKING

from aqakit.discovery import lazily

if TYPE_CHECKING:
    from aqakit.backbones.parts.base import Backbone

__all__ = ["Backbone"]

__getattr__, __dir__ = lazily(__name__, {"Backbone": "parts.base:Backbone"})
