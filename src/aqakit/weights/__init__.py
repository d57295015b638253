"""Published weights: which there are, getting them, and recognising them when they are loaded."""

from aqakit.weights.catalogue import CATALOGUE, Published, catalogue
from aqakit.weights.download import default_folder, get, locate
from aqakit.weights.loading import Found, recognise
from aqakit.weights.styles import STYLES, Style

__all__ = [
    "CATALOGUE",
    "STYLES",
    "Found",
    "Published",
    "Style",
    "catalogue",
    "default_folder",
    "get",
    "locate",
    "recognise",
]
