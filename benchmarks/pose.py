"""Speed of BlazePose on a video: one core against two, and its stages.

The script follows the subject through a video on one core and on two, in turns, and prints milliseconds a frame with
decoding, and how many times faster two cores are; then the parts of a frame on one core. Nothing else should run on the
machine. It takes a minute:

    python benchmarks/pose.py VIDEO --weights FOLDER
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from aqakit.backbones.parts.blazepose import finding, networks
from aqakit.backbones.parts.blazepose.networks import Networks
from aqakit.backbones.parts.blazepose.regions import Region, cut
from aqakit.recordings import video
from aqakit.report import tables

CALLS = 30


def whole(path: Path, nets: Networks, threads: int) -> dict[str, float]:
    """Milliseconds a frame of a whole video, by stage."""
    started, worked = time.perf_counter(), time.process_time()
    person = finding.find(path, nets, threads=threads)
    frames = len(person.times) / 1e3
    found = {name: seconds / frames for name, seconds in person.seconds.items()}
    clocks = {"whole": (time.perf_counter() - started) / frames, "processor": (time.process_time() - worked) / frames}
    return found | clocks | {"share": person.share}


def median(work: Callable[[], object]) -> float:
    """Median milliseconds of a call."""
    work()
    found = []
    for _ in range(CALLS):
        started = time.perf_counter()
        work()
        found.append(1e3 * (time.perf_counter() - started))
    return float(np.median(found))


def parts(path: Path, nets: Networks) -> dict[str, float]:
    """Milliseconds of the parts of a frame."""
    started = time.perf_counter()
    frames = video.probe(path).frames
    for number, picture in video.stream(path):
        if number == 0:
            first = picture
    decoded = 1e3 * (time.perf_counter() - started) / frames
    found = nets.candidates(first, 0.1)
    region = found[0].region if found else Region(first.shape[1] / 2, first.shape[0] / 2, first.shape[0], 0.0)
    return {
        "decode": decoded,
        "detector": median(lambda: nets.candidates(first, 0.3)),
        "cut": median(lambda: cut(first, region, networks.SIZE)),
        "cut and joints": median(lambda: nets.joints(first, region)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--weights", type=Path, help="folder of .tflite files, or a .task file")
    parser.add_argument("--network", default="full", help="full, lite or heavy")
    parser.add_argument("--times", type=int, default=3, help="how often each is measured; the median counts")
    parser.add_argument("--json", type=Path, help="write the numbers as JSON")
    given = parser.parse_args()
    files = networks.locate(given.weights, given.network)
    cores = sorted(os.sched_getaffinity(0))
    rows = []
    small = {}
    for _ in range(given.times):
        for count in (1, 2):
            os.sched_setaffinity(0, cores[:count])  # threads that begin from here on inherit it
            nets = Networks(files, count)
            rows.append({"cores": count} | whole(given.video, nets, count))
            if count == 1:
                small = parts(given.video, nets)
    os.sched_setaffinity(0, cores)
    one, two = ([row for row in rows if row["cores"] == count] for count in (1, 2))
    table = [{key: float(np.median([row[key] for row in some])) for key in some[0]} for some in (one, two)]
    ratio = float(np.median([a["whole"] / b["whole"] for a, b in zip(one, two, strict=True)]))
    with tables.beside(given.json):
        load = os.getloadavg()[0]
        tables.show(table, title=f"{given.network}, ms a frame; load of the machine {load:.1f} on {len(cores)} cores")
        tables.show([small], title="parts on one core, ms")
        print(f"two cores are {ratio:.2f} times as fast as one")
    tables.write([row | {"ratio": ratio} | small for row in table], given.json, "json")


if __name__ == "__main__":
    main()
