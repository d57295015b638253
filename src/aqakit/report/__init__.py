"""Results come in, tables, figures and one HTML file go out.

May import ``explanation`` and the rooms on its left. Drawing is independent of models: ``study``, ``data_sections`` and
``semi_supervised`` read run folders and return plain data (``content``); the other files draw it.
"""

from typing import TYPE_CHECKING

from aqakit.discovery import lazily

if TYPE_CHECKING:
    from aqakit.report import demo, merging, one_page, pivot, score_sheet, semi_supervised, sweep_figures, write

__all__ = ["demo", "merging", "one_page", "pivot", "score_sheet", "semi_supervised", "sweep_figures", "write"]

__getattr__, __dir__ = lazily(__name__, {name: name for name in __all__})
