"""User CPU time of commands that load no PyTorch, as a person waits for them.

python benchmarks/startup.py [--runs 5] [--json FILE]
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
from pathlib import Path

from aqakit.report import tables

COMMANDS = ("--help", "--version", "methods", "datasets", "backbones", "weights", "train --help", "predict --help")


def seconds(command: str) -> float:
    """User CPU seconds of one process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    subprocess.run([sys.executable, "-m", "aqakit", *command.split()], stdout=subprocess.DEVNULL, check=True)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5, help="of each command (5)")
    parser.add_argument("--json", type=Path, help="write the rows as JSON")
    given = parser.parse_args()
    rows = []
    for command in COMMANDS:
        seconds(command)  # the first run writes byte code
        times = [seconds(command) for _ in range(given.runs)]
        rows.append({"command": f"aqakit {command}", "median_s": statistics.median(times), "max_s": max(times)})
        with tables.beside(given.json):
            print(f"{rows[-1]['command']:24} {rows[-1]['median_s']:.2f} s (at most {rows[-1]['max_s']:.2f})")
    tables.write(rows, given.json, "json")


if __name__ == "__main__":
    main()
