"""The command line: words of a person come in, tables and sentences go out. ONE FILE = ONE COMMAND.

May import every room; ``serve`` loads ``web``, an optional extra. A command's file says
what it is called with. Rooms that need PyTorch are loaded when it does its work, so that help and completion start at
once.
"""

from aqakit.cli.app import main

__all__ = ["main"]
