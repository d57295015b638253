"""``python -m aqakit`` is ``aqakit``."""

from aqakit.cli.app import main

main()
