"""Results come in, tables, figures and one HTML file go out.

May import ``explanation`` and the rooms on its left. Drawing knows nothing of models: ``study``, ``data_sections`` and
``semi_supervised`` read run folders and give plain data (``content``), and the other files draw them.
"""

from typing import TYPE_CHECKING

from aqakit.discovery import lazily

if TYPE_CHECKING:
    from aqakit.report import demo, semi_supervised, sweep_figures, write

__all__ = ["demo", "semi_supervised", "sweep_figures", "write"]

__getattr__, __dir__ = lazily(__name__, {name: name for name in __all__})
