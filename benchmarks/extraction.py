"""Time to extract I3D features of ten clips from a video of 103 frames: published pipeline and ours, by stage.

The published pipeline reads 103 JPEGs one by one and runs the network on one clip at a time, in PyTorch's float32. Ours
reads the MP4 that holds the same frames. The weights are random; the time does not depend on them. ``share`` is the
share of the machine's peak: the fastest multiplication of large matrices found in the same precision. The last rows
show how a precision changes the ranks of the scores that a ridge regression on mean features gives to other videos.
Run ``python benchmarks/extraction.py [--json FILE]`` on an otherwise idle machine; ``--data``, ``--root`` and
``--backbone`` choose the videos and the network for the ranks.
"""

import argparse
import io
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import av
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from aqakit import datasets, discovery
from aqakit.backbones import i3d
from aqakit.backbones.parts.base import Backbone
from aqakit.errors import OptionError
from aqakit.features import engines, extract
from aqakit.metrics.accuracy import spearman
from aqakit.recordings import transforms
from aqakit.report import tables
from aqakit.system import configuration
from aqakit.types import Sample

FRAMES, HEIGHT, WIDTH = 103, 256, 455
SIDE = 2048  # of the matrices whose multiplication is timed
GFLOP = 2 * 10 * 27.79  # of ten clips
ENGINES = [
    ("torch", "float32"),
    ("torch", "bfloat16"),
    ("openvino", "float32"),
    ("openvino", "bfloat16"),
    ("openvino", "int8"),
]


def pictures() -> list[np.ndarray]:
    """Render a textured disc that moves over a textured background."""
    rng = np.random.default_rng(0)
    ground = np.array(Image.fromarray(rng.integers(0, 256, (32, 57, 3), np.uint8)).resize((WIDTH + 1, HEIGHT)))
    y, x = np.mgrid[:HEIGHT, : WIDTH + 1]
    made = []
    for t in range(FRAMES):
        disc = (x - 60 - 3 * t) ** 2 + (y - 200 + 4 * t - t * t / 25) ** 2 < 900
        made.append(np.where(disc[..., None], 255 - np.roll(ground, 3 * t, 1), ground).astype(np.uint8)[:, :454])
    return made


def write(folder: Path, frames: list[np.ndarray]) -> tuple[Path, Path]:
    """Write the frames as an MP4, and the decoded MP4 as JPEGs of quality 95."""
    film, jpegs = folder / "film.mp4", folder / "jpegs"
    with av.open(str(film), "w") as file:
        track = file.add_stream("libx264", rate=25, options={"crf": "18"})
        track.width, track.height, track.pix_fmt = frames[0].shape[1], HEIGHT, "yuv420p"
        for image in frames:
            file.mux(track.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")))
        file.mux(track.encode(None))
    jpegs.mkdir()
    with av.open(str(film)) as file:
        for number, frame in enumerate(file.decode(video=0)):
            frame.to_image().save(jpegs / f"{number:04}.jpg", quality=95)
    return film, jpegs


def published_read(jpegs: Path) -> list[np.ndarray]:
    """Read clips as the published code does: open, resize and crop each picture in turn."""
    images = []
    for path in sorted(jpegs.iterdir()):
        image = Image.open(io.BytesIO(path.read_bytes())).convert("RGB").resize((WIDTH, HEIGHT), Image.BILINEAR)
        images.append(transforms.crop(np.array(image), (224, 224)))
    return [np.stack(images[start : start + 16]) for start in (*range(0, 81, 10), 87)]


def published_network(backbone: i3d.I3D, clips: list[np.ndarray]) -> torch.Tensor:
    """Run the network on one clip at a time, in float32: on planes of colours, as transforms make them of pictures.

    Pooling is PyTorch's; ours copies planes into an order of memory that it is faster in.
    """
    planes = backbone.planes
    with (
        torch.inference_mode(),
        patch.object(backbone, "planes", lambda clips: planes(clips).contiguous()),
        patch.object(i3d, "max_pool3d", F.max_pool3d),
    ):
        return torch.cat([backbone(torch.from_numpy(clip[None])) for clip in clips])


def timed(function: Callable[[], Any], times: int) -> tuple[float, float, Any]:
    """Return the shortest wall time of several runs, the CPU time of that run, and the result."""
    found = function()  # once to warm up
    best = (float("inf"), 0.0)
    for _ in range(times):
        wall, used = time.perf_counter(), time.process_time()
        found = function()
        best = min(best, (time.perf_counter() - wall, time.process_time() - used))
    return *best, found


class Product(Backbone):
    """A chain of matrix multiplications that an engine runs like any network."""

    reads, shape, steps = "signal", (SIDE,), 2

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.eye(SIDE), requires_grad=False)

    def read(self, path: Path, window: object = None) -> Iterator[np.ndarray]:
        yield np.ones((SIDE, SIDE), np.float32)

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        x = clips.flatten(0, 1)
        for _ in range(self.steps):
            x = x @ self.weight
        return x.sum(0, keepdim=True)

    def fingerprint(self) -> dict[str, Any]:
        return {}


def peak(precision: str) -> float:
    """Return the GFLOP/s of matrix multiplications, by the fastest engine."""
    network, rates = Product(), []
    (clip,) = network.read(Path())
    for name in ("torch", "openvino"):
        with suppress(OptionError):
            engine = engines.make(name, precision)
            seconds = timed(partial(engine.embed, network, clip[None]), 5)[0]
            rates.append(2 * SIDE**3 * network.steps / seconds / 1e9)
    return max(rates)


def cosine(one: torch.Tensor, other: torch.Tensor) -> float:
    """Return the minimum cosine similarity over clips."""
    return F.cosine_similarity(one, other).min().item()


def correlation(one: torch.Tensor, other: torch.Tensor) -> float:
    """Return the median over channels of the correlation over clips."""
    a, b = one - one.mean(0), other - other.mean(0)
    alive = (a.norm(dim=0) > 0) & (b.norm(dim=0) > 0)
    return F.cosine_similarity(a[:, alive], b[:, alive], dim=0).median().item()


class Bench:
    """Collects the rows of the table, one for each stage."""

    def __init__(self, film: Path, jpegs: Path, times: int, videos: int) -> None:
        self.film, self.jpegs, self.times = film, jpegs, times
        self.samples = [Sample(str(n), {"video": film}) for n in range(videos)]
        self.peaks = {precision: peak(precision) for precision in ("float32", "bfloat16")}
        self.backbone = i3d.build().eval()
        self.clips = list(self.backbone.read(film))
        self.reference = published_network(self.backbone, self.clips)
        self.published = 0.0
        self.rows: list[dict[str, object]] = []
        print("  ".join(f"peak in {name}: {value:.0f} GFLOP/s" for name, value in self.peaks.items()))

    def row(self, stage: str, precision: str, engine: str, run: Callable[[], Any], videos: int = 1) -> float:
        """Measure a stage and return its seconds per video."""
        wall, used, out = timed(run, self.times)
        seconds = wall / videos
        network = isinstance(out, torch.Tensor)
        row = {
            "stage": stage,
            "precision": precision,
            "engine": engine,
            "seconds": seconds,
            "cpu_seconds": used / videos,
            "speedup": self.published / seconds if self.published and stage == "whole" else None,
            "cosine": cosine(self.reference, out) if network else None,
            "correlation": correlation(self.reference, out) if network else None,
            "share": GFLOP / seconds / self.peaks[precision] if network and precision in self.peaks else None,
        }
        self.rows.append(row)
        show(row)
        return seconds

    def theirs(self) -> None:
        """Measure the published pipeline."""
        network = partial(published_network, self.backbone)
        self.row("published: decode", "float32", "torch", lambda: published_read(self.jpegs))
        self.row("published: network", "float32", "torch", lambda: network(self.clips))
        whole = self.row("published: whole", "float32", "torch", lambda: network(published_read(self.jpegs)))
        self.published = whole

    def ours(self, name: str, precision: str) -> None:
        """Measure one engine: the network alone, then the whole extraction of several videos in a row."""
        engine, batch = make_engine(name, precision, self.film), np.stack(self.clips)

        def whole() -> torch.Tensor:
            return extract.extract(self.samples, {"i3d": self.backbone}, None, engine).streams["i3d"][0]

        self.row("network", precision, name, lambda: engine.embed(self.backbone, batch))
        self.row("whole", precision, name, whole, len(self.samples))


def make_engine(name: str, precision: str, recording: Path) -> engines.Engine:
    return engines.make(name, precision, recording if precision == "int8" else None)


def ranks(data: str, root: Path | None, spec: str) -> list[dict[str, object]]:
    """Return Spearman of five-fold ridge predictions with those from PyTorch's float32 features and with the truth."""
    rows: list[dict[str, object]] = []
    (name, options), (kind, given) = discovery.parse_spec(data), discovery.parse_spec(spec)
    module = discovery.find("backbones", kind)
    backbone = module.build(**configuration.configure(f"backbone {kind}", module.build, given)).eval()
    samples = [s for s in datasets.load(name, root, **options).samples if s.score is not None and "video" in s.sources]
    true = np.array([s.score for s in samples])
    exact: np.ndarray | None = None
    for engine, precision in ENGINES:
        try:
            made = make_engine(engine, precision, samples[0].sources["video"])
            found = extract.extract(samples, {kind: backbone}, None, made).streams[kind]
        except OptionError as error:
            print(error)
            continue
        means = torch.stack([clips.mean(0) for clips in found]).numpy()
        model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(0, 5, 11)))
        scores = cross_val_predict(model, means, true, cv=KFold(5, shuffle=True, random_state=0))
        exact = scores if exact is None else exact
        row = {
            "stage": f"ranks of {len(samples)} videos by {kind}",
            "precision": precision,
            "engine": engine,
            "spearman with float32": float(spearman(exact, scores)),
            "spearman with truth": float(spearman(true, scores)),
        }
        show(row)
        rows.append(row)
    return rows


def show(row: Mapping[str, object]) -> None:
    shown = (f"{k} {v:.5g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items() if v is not None)
    print("  ".join(shown), flush=True)


def measure(times: int, videos: int) -> list[dict[str, object]]:
    """Measure all rows."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(*write(Path(folder), pictures()), times, videos)
        bench.theirs()
        bench.row("decode", "float32", "–", lambda: list(bench.backbone.read(bench.film)))
        for name, precision in ENGINES:
            try:
                bench.ours(name, precision)
            except OptionError as error:
                print(error)
    return bench.rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    parser.add_argument("--times", type=int, default=3, help="number of runs of each stage; the fastest counts")
    parser.add_argument("--videos", type=int, default=4, help="videos extracted in a row, so that reading overlaps")
    parser.add_argument("--data", default="synthetic_dives:count=30:seed=5", help="videos for the ranks of scores")
    parser.add_argument("--root", type=Path, help="folder of these videos")
    parser.add_argument("--backbone", default="i3d", help="backbone for the ranks; use trained weights")
    parser.add_argument("--only-ranks", action="store_true", help="skip the time measurements")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tables.beside(options.json):
        rows = [] if options.only_ranks else measure(options.times, options.videos)
        tables.write(rows, options.json if options.json and options.json.name != "-" else None, "json")
        rows += ranks(options.data, options.root, options.backbone)
    tables.write(rows, options.json, "json")


if __name__ == "__main__":
    main()
