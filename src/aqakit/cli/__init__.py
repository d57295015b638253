"""The command line: arguments come in, tables and messages go out. ONE FILE = ONE COMMAND.

May import every room; ``serve`` loads ``web``, an optional extra. The file of a command declares its arguments. Rooms
that need PyTorch are loaded only when the command runs, so that help and completion start at once.
"""

from aqakit.cli.app import main

__all__ = ["main"]
