"""Peak memory and speed of reading every tenth frame of an hour of 1080p video, or of extracting its features.

The video repeats the packets of one encoded minute. Run ``python benchmarks/video_memory.py
[--backbone NAME:option=value]``.
"""

import argparse
import multiprocessing
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import av
import numpy as np

from aqakit import discovery
from aqakit.features import extract as features
from aqakit.recordings import video
from aqakit.report import tables
from aqakit.system import configuration
from aqakit.types import Sample

RATE = 30


def minute(path: Path, seconds: int, height: int) -> None:
    """Write a video of moving gradients with a little noise: H.264, a keyframe every two seconds."""
    width = height * 16 // 9 // 2 * 2
    noise = np.random.default_rng(0).integers(0, 24, (height, width, 3), np.uint8)
    across = np.linspace(0, 200, width, dtype=np.uint8)[None, :, None]
    with av.open(str(path), "w") as file:
        track = file.add_stream("libx264", rate=RATE, options={"preset": "ultrafast", "crf": "28"})
        track.width, track.height, track.pix_fmt, track.gop_size = width, height, "yuv420p", 2 * RATE
        for number in range(seconds * RATE):
            image = np.roll(across, 8 * number, axis=1) + np.roll(noise, 3 * number, axis=0)
            file.mux(track.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")))
        file.mux(track.encode(None))


def repeat(source: Path, path: Path, times: int) -> None:
    """Write a video that repeats the packets of another."""
    with av.open(str(source)) as one, av.open(str(path), "w") as many:
        track = many.add_stream_from_template(one.streams.video[0])
        length = one.streams.video[0].duration
        for turn in range(times):
            one.seek(0)
            for packet in one.demux(video=0):
                if packet.size:
                    packet.pts, packet.dts = packet.pts + turn * length, packet.dts + turn * length
                    packet.stream = track
                    many.mux(packet)


def peak() -> float:
    """Return the peak resident memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(path: Path, every: int) -> dict[str, float]:
    """Read every ``every``-th frame at 256×455, the size used in the papers."""
    before, start = peak(), time.perf_counter()
    info = video.probe(path)
    probed = time.perf_counter()
    read = sum(1 for _ in video.stream(path, range(0, info.frames, every), size=(256, 455)))
    seconds = time.perf_counter() - probed
    return {
        "minutes": info.duration / 60,
        "frames": info.frames,
        "file_mib": path.stat().st_size / 2**20,
        "probe_s": probed - start,
        "read": read,
        "decode_s": seconds,
        "decoded_per_s": info.frames / seconds,
        "before_mib": before,
        "peak_mib": peak(),
    }


def extract(path: Path, spec: str) -> dict[str, float]:
    """Extract the features of a file without storing them."""
    name, options = discovery.parse_spec(spec)
    module = discovery.find("backbones", name)
    backbone = module.build(**configuration.configure(f"backbone {name}", module.build, options)).eval()
    info, before, start = video.probe(path), peak(), time.perf_counter()
    (clips,) = features.extract([Sample("long", {"video": path})], {name: backbone}, None).streams[name]
    seconds = time.perf_counter() - start
    return {
        "minutes": info.duration / 60,
        "frames": info.frames,
        "clips": len(clips),
        "extract_s": seconds,
        "before_mib": before,
        "peak_mib": peak(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--seconds", type=int, default=60, help="length of the encoded minute, for a quick trial")
    parser.add_argument("--height", type=int, default=1080)
    parser.add_argument("--every", type=int, default=10)
    parser.add_argument("--backbone", help="extract features with this backbone instead of only reading")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        one, many = Path(folder) / "minute.mp4", Path(folder) / "long.mp4"
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as apart:  # so that its memory is not counted
            apart.submit(minute, one, options.seconds, options.height).result()
            rows = []
            for minutes in (
                (options.minutes,) if options.backbone else sorted({max(options.minutes // 10, 1), options.minutes})
            ):
                apart.submit(repeat, one, many, minutes).result()
                rows.append(extract(many, options.backbone) if options.backbone else measure(many, options.every))
                with tables.beside(options.json):
                    print("  ".join(f"{key} {value:.5g}" for key, value in rows[-1].items()), flush=True)
    tables.write(rows, options.json, "json")


if __name__ == "__main__":
    main()
