"""General utilities that know nothing of scores: files, options, progress bars, processes and prefetching.

May import the modules at the root of the package.
"""

from typing import TYPE_CHECKING

from aqakit.discovery import lazily

if TYPE_CHECKING:
    from aqakit.system import configuration

__all__ = ["configuration"]

__getattr__, __dir__ = lazily(__name__, {"configuration": "configuration"})
