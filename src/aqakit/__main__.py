"""``python -m aqakit`` is ``aqakit``."""

from aqakit.cli import main

main()
