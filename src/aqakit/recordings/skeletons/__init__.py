"""Files of joints: one file of this folder is one format, recognised by its content.

A format is a file with ``fits(source) -> bool``, which looks at the start of a file, and ``read(source) -> Found``. Its
name is the file name, as of methods. ``GENERAL = True`` says that it is asked only if no special format fits.
"""

from aqakit.recordings.skeletons.parts.body import Body
from aqakit.recordings.skeletons.parts.layouts import LAYOUTS, Layout
from aqakit.recordings.skeletons.parts.registry import GAP, format_of, names, read

__all__ = ["GAP", "LAYOUTS", "Body", "Layout", "format_of", "names", "read"]
