"""Files of joints: one file of this folder is one format, recognised by its content.

A format is a file with ``fits(source) -> bool``, which looks at the start of a file, and ``read(source) -> Found``. Its
name is the file name, as of methods. ``GENERAL = True`` says that it is asked only if no special format fits.
"""

from typing import TYPE_CHECKING

from aqakit.discovery import lazily

if TYPE_CHECKING:
    from aqakit.recordings.skeletons.parts.body import Body
    from aqakit.recordings.skeletons.parts.files import is_folder
    from aqakit.recordings.skeletons.parts.layouts import LAYOUTS, Layout
    from aqakit.recordings.skeletons.parts.registry import GAP, format_of, names, read

__all__ = ["GAP", "LAYOUTS", "Body", "Layout", "format_of", "is_folder", "names", "read"]

_FILES = {
    "body": ("Body",),
    "files": ("is_folder",),
    "layouts": ("LAYOUTS", "Layout"),
    "registry": ("GAP", "format_of", "names", "read"),
}

__getattr__, __dir__ = lazily(
    __name__, {name: f"parts.{file}:{name}" for file, some in _FILES.items() for name in some}
)
