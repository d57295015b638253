"""BlazePose: a person is found in a picture, followed through a video, and has 33 joints in every frame."""

from typing import TYPE_CHECKING

from aqakit.discovery import lazily

if TYPE_CHECKING:
    from aqakit.backbones.parts.blazepose import filling, finding, networks, overlay, table, tracks

__all__ = ["filling", "finding", "networks", "overlay", "table", "tracks"]

__getattr__, __dir__ = lazily(__name__, {name: name for name in __all__})
