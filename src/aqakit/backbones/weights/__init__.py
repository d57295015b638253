"""Published weights: catalogue, download, and recognition when they are loaded."""

from typing import TYPE_CHECKING

from aqakit.discovery import lazily

if TYPE_CHECKING:
    from aqakit.backbones.weights.download import default_folder, get, locate
    from aqakit.backbones.weights.loading import Found, identify
    from aqakit.backbones.weights.published import CATALOGUE, Published, catalogue
    from aqakit.backbones.weights.styles import STYLES, Style

__all__ = [
    "CATALOGUE",
    "STYLES",
    "Found",
    "Published",
    "Style",
    "catalogue",
    "default_folder",
    "get",
    "identify",
    "locate",
]

_NAMES = {
    "published": ("CATALOGUE", "Published", "catalogue"),
    "download": ("default_folder", "get", "locate"),
    "loading": ("Found", "identify"),
    "styles": ("STYLES", "Style"),
}

__getattr__, __dir__ = lazily(__name__, {name: f"{file}:{name}" for file, names in _NAMES.items() for name in names})
