"""Training from pixels: what it costs beside the network, against the published way, on two cores.

Parts, each a row or two of the table:

- ``host``: processor time per video of I3D's plan (103 frames of 224×224, of which ten clips of 16 are made) until the
  frames lie in a reused buffer, as they do before a GPU copies them; what a processor then does in place of the GPU
  (gathering and mirroring); and what versions before did on the host instead.
- ``loader``: videos per second of the same, and of the published way: a folder of JPEGs per video, opened, resized by
  an interpolation drawn for every frame, cropped and normalised with PIL, by a PyTorch DataLoader with two workers.
- ``overlap``: steps whose network is a stand-in that waits as long as reading a batch takes.
- ``decode``: the first decoding of videos, on one core, and with one thread and two on all cores.
- ``epoch``: a training epoch of a network and a head on rendered dives, ours and the published loop. Both train the
  same network with frozen batch norm; ours has decoded the videos before, as the published loop has its JPEGs.

Wall times mean something only on an otherwise idle machine; ``cpu`` is processor time.
Run ``python benchmarks/finetune.py [--json FILE]``; ``--only`` chooses parts.
"""

import argparse
import os
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from aqakit import datasets, discovery
from aqakit.backbones import c3d_small, i3d
from aqakit.backbones.parts.video import VideoBackbone
from aqakit.recordings import video
from aqakit.report import tables
from aqakit.training import live_pixels
from aqakit.training.assessor import Assessor, Standardise
from aqakit.training.batches import read_batches
from aqakit.training.live_pixels import LivePixels
from aqakit.training.loop import fit
from aqakit.training.pixel_stream import PixelStream, View
from aqakit.training.settings import Settings
from aqakit.training.state import Member
from aqakit.types import Batch, FeatureSpec, LabelSpec, Sample, ScoreScale

HEIGHT, WIDTH, FRAMES, SIDE = 256, 455, 109, 224
VIDEOS, BATCH, STEPS, TIMES, WORKERS = 16, 8, 12, 5, 2  # DAE trains with batches of eight
DECODED = 60
EPOCH = 132  # steps of eight videos in an epoch of MTL-AQA
DIVES = {"c3d_small": "synthetic_dives:count=32:size=128", "i3d": "synthetic_dives:count=2:size=128"}
SCALE = LabelSpec(ScoreScale(0, 100))
FILTERS = [Image.Resampling.NEAREST, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS]
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
Row = dict[str, object]


def film(path: Path, seed: int) -> Path:
    """Write a textured disc that flies over a textured background."""
    rng = np.random.default_rng(seed)
    wide = WIDTH // 2 * 2
    ground = np.array(Image.fromarray(rng.integers(0, 256, (32, 57, 3), np.uint8)).resize((wide, HEIGHT)))
    y, x = np.mgrid[:HEIGHT, :wide]
    with av.open(str(path), "w") as file:
        track = file.add_stream("libx264", rate=25, options={"crf": "18", "preset": "ultrafast"})
        track.width, track.height, track.pix_fmt = wide, HEIGHT, "yuv420p"
        for t in range(FRAMES):
            disc = (x - 60 - 3 * t) ** 2 + (y - 200 + 4 * t - t * t / 25) ** 2 < 900
            image = np.where(disc[..., None], 255 - np.roll(ground, 3 * t, 1), ground).astype(np.uint8)
            file.mux(track.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")))
        file.mux(track.encode(None))
    return path


def films(folder: Path, count: int) -> list[Sample]:
    """Write films of FRAMES frames, of which only the first is encoded; each has its own bytes."""
    first = film(folder / "0.mp4", 0).read_bytes()
    samples = []
    for k in range(count):
        path = folder / f"{k}.mp4"
        path.write_bytes(first + b"\0\0\0\x0cfree" + k.to_bytes(4, "big"))  # an empty box of the format
        samples.append(Sample(str(k), {"video": path}, score=float(k), window=(0, FRAMES - 7)))
    return samples


def jpegs(sample: Sample, folder: Path) -> Path:
    """Write the frames of a video as JPEGs of quality 95."""
    folder.mkdir(parents=True)
    path = sample.sources["video"]
    for number, image in video.stream(path, range(video.probe(path).frames)):
        Image.fromarray(image).save(folder / f"{number:05}.jpg", quality=95)
    return folder


class Published(Dataset):
    """Videos as the published code reads them: JPEG by JPEG, each resized by an interpolation of its own."""

    def __init__(self, folders: Sequence[Path], numbers: Sequence[Sequence[int]], size: tuple[int, int], crop: int):
        self.folders, self.numbers, self.size, self.crop = folders, numbers, size, crop

    def __len__(self) -> int:
        return len(self.folders)

    def __getitem__(self, row: int) -> tuple[Tensor, float]:
        flip = bool(torch.randint(2, ()))
        frames = [self._frame(self.folders[row] / f"{number:05}.jpg") for number in self.numbers[row]]
        pixels = torch.stack(frames)  # (K, 3, H, W)
        return pixels.flip(-1) if flip else pixels, float(row)

    def _frame(self, path: Path) -> Tensor:
        with Image.open(path) as file:
            image = file.convert("RGB").resize(self.size, FILTERS[int(torch.randint(4, ()))])
        left, top = ((have - self.crop) // 2 for have in self.size)
        image = image.crop((left, top, left + self.crop, top + self.crop))
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float().div(255)
        return (pixels - MEAN[:, None, None]) / STD[:, None, None]


class Staged(LivePixels):
    """Live pixels whose frames are copied once into buffers that are used again, as pinned memory is."""

    @cached_property
    def buffers(self) -> list[list[Tensor]]:
        return [[torch.empty(0, dtype=torch.uint8) for _ in range(BATCH)] for _ in range(self.ahead + 2)]

    def _read(self, index: Tensor, *rest: object) -> Batch:
        batch = super()._read(index, *rest)
        (name, stream), rows = *batch.streams.items(), self.buffers.pop(0)
        self.buffers.append(rows)
        views = [
            View(out.resize_(v.frames.shape).copy_(v.frames), v.table, v.seen) for v, out in zip(stream.views, rows)
        ]
        return batch.replace(streams={name: PixelStream(views, stream.backbone)})


@dataclass
class Spent:
    """Wall and processor seconds, those of finished child processes included."""

    wall: float = 0.0
    cpu: float = 0.0


def used() -> float:
    found = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in found)


@contextmanager
def clock() -> Iterator[Spent]:
    spent, wall, cpu = Spent(), time.perf_counter(), used()
    yield spent
    spent.wall, spent.cpu = time.perf_counter() - wall, used() - cpu


def draws(steps: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randperm(VIDEOS, generator=generator)[:BATCH] for _ in range(steps or STEPS)]


def staged(samples: Sequence[Sample], backbone: VideoBackbone, cache: Path) -> Staged:
    """Return decoded videos, augmented as by the published code: starts 0 to 6 frames later, half of them mirrored."""
    more = {"shift": (0, 6), "flip": True, "jitter": 0}
    live, done = live_pixels.live_pixels(samples, SCALE, {"i3d": backbone}, cache, **more)
    assert not done.failures, done.failures
    source = Staged(live.samples, live.labels, live.backbones, cache, memory=live.memory, **more)
    for index in draws():  # maps the files and fills the buffers
        source.batch(index)
    return source


def earlier(source: Staged, index: Tensor, generator: torch.Generator) -> Tensor:
    """What versions before did on the host: gather, mirror and stack the clips of every video."""
    made, backbone = [], source.backbones["i3d"]
    for row, seen in zip(index.tolist(), source._augmentations(len(index), generator), strict=True):
        pixels = source.pixels(source.samples[row], "i3d")
        table = backbone.clips_of(pixels.numbers, pixels.length, seen.shift, source.samples[row].window)
        clips = pixels.frames[torch.from_numpy(table)]
        made.append(backbone.mirror(clips) if seen.mirrored else clips)
    return torch.stack(made)


def host(source: Staged) -> list[Row]:
    """Processor milliseconds per video, by one thread: the median over steps."""

    def cost(work: Callable[[Tensor, torch.Generator], object]) -> float:
        generator, found = torch.Generator().manual_seed(0), []
        for index in draws():
            before = time.process_time()
            work(index, generator)
            found.append(1e3 * (time.process_time() - before) / BATCH)
        return statistics.median(found)

    ours = cost(source.batch)
    gathered = cost(lambda index, generator: source.batch(index, generator).streams["i3d"].shown())
    before = cost(lambda index, generator: earlier(source, index, generator))
    row = {"part": "host", "cpu_ms_per_video": ours, "with_gathering": gathered, "before": before}
    return [{**row, "ratio": before / ours}]


def loader(source: Staged, folders: Sequence[Path]) -> list[Row]:
    """Videos per second, of ours and of the published way."""
    data = Published(folders, [range(FRAMES - 6)] * VIDEOS, (WIDTH, HEIGHT), SIDE)
    theirs = _rate(DataLoader(data, BATCH, shuffle=True, num_workers=WORKERS), VIDEOS)
    ours = _rate(read_batches(source, draws(), "cpu", torch.Generator().manual_seed(0)), STEPS * BATCH)
    rows: list[Row] = [{"part": "loader: published", **theirs}, {"part": "loader: ours", **ours}]
    rows[1]["ratio"] = ours["videos_per_s"] / theirs["videos_per_s"]
    return rows


def _rate(batches: Iterable[object], videos: int) -> dict[str, float]:
    with clock() as spent:
        for _ in batches:
            pass
    return {"videos_per_s": videos / spent.wall, "cpu_ms_per_video": 1e3 * spent.cpu / videos}


def overlap(source: Staged) -> list[Row]:
    """Wall time of steps whose stand-in for a network waits as long as reading has just taken, by that of reading.

    The median of several times.
    """
    found = []
    for _ in range(TIMES):
        with clock() as reading:
            for index in draws(EPOCH):
                source.batch(index, torch.Generator().manual_seed(0))
        waited = 0.0
        with clock() as steps:
            for _ in read_batches(source, draws(EPOCH), "cpu", torch.Generator().manual_seed(0)):
                before = time.perf_counter()
                time.sleep(reading.wall / EPOCH)
                waited += time.perf_counter() - before  # a busy machine wakes it late
        found.append((steps.wall / max(reading.wall, waited), reading.wall, waited, steps.wall))
    ratio, read, waited, wall = sorted(found)[TIMES // 2]
    return [{"part": "overlap", "reading_s": read, "network_s": waited, "wall_s": wall, "ratio": ratio}]


def decode(samples: Sequence[Sample], backbone: VideoBackbone, folder: Path) -> list[Row]:
    """Wall time of the first decoding with one thread, with FFmpeg's own on one core and on all, and with two threads.

    The shortest of several times counts.
    """
    cores = os.sched_getaffinity(0)
    ways = {"one_core": (1, {min(cores)}), "one": (1, cores), "two": (2, cores)}
    found: dict[str, list[Spent]] = {way: [] for way in ways}
    for turn in range(TIMES // 2 + 1):
        for way, (threads, on) in ways.items():
            os.sched_setaffinity(0, on)
            with clock() as spent:
                more = {"shift": 0, "flip": False, "jitter": 0, "threads": threads}
                live_pixels.live_pixels(samples, SCALE, {"i3d": backbone}, folder / f"{way}-{turn}", **more)
            shutil.rmtree(folder / f"{way}-{turn}")
            found[way].append(spent)
    os.sched_setaffinity(0, cores)
    wall = {way: min(one.wall for one in times) for way, times in found.items()}
    used = {f"{way}_cpu_s": min(one.cpu for one in times) for way, times in found.items()}
    seconds = {f"{way}_s": value for way, value in wall.items()}
    return [{"part": "decode", **seconds, **used, "ratio": wall["one_core"] / wall["two"]}]


class Loop(nn.Module):
    """The published loop: clips of normalised frames, one after another, and a head on their mean."""

    def __init__(self, backbone: VideoBackbone, clips: np.ndarray) -> None:
        super().__init__()
        self.backbone, self.clips = backbone, clips
        backbone.normalise = lambda frames: frames.movedim(-1, -3)  # they are
        self.head = nn.Sequential(nn.Linear(*backbone.shape, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU())
        self.mean, self.spread = nn.Linear(128, 1), nn.Linear(128, 1)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """(B, K, 3, H, W) → mean and a sample (B,)."""
        features = torch.stack([self.backbone(frames[:, clip].movedim(2, -1)) for clip in self.clips]).mean(0)
        hidden = self.head(features)
        mean, spread = self.mean(hidden)[:, 0], self.spread(hidden)[:, 0]
        return mean, mean + (spread / 2).exp() * torch.randn_like(mean)


def published_epoch(backbone: VideoBackbone, samples: Sequence[Sample], folder: Path, size: tuple[int, int]) -> Spent:
    """The second epoch of the published loop: the first also imports and allocates."""
    folders = [jpegs(sample, folder / sample.id) for sample in samples]
    tables = [backbone.plan.clips(video.probe(sample.sources["video"]).frames) for sample in samples]
    numbers = [np.unique(table) for table in tables]
    model = Loop(backbone, np.searchsorted(numbers[0], tables[0])).train()
    backbone.eval()
    optimizer = torch.optim.Adam(model.parameters(), 1e-4, weight_decay=1e-5)
    data = Published(folders, [one.tolist() for one in numbers], size, backbone.pixels.shape[0])
    for _ in range(2):
        with clock() as spent:
            for frames, score in DataLoader(data, BATCH, shuffle=True, num_workers=WORKERS):
                mean, sample = model(frames)
                loss = (sample - score).square().sum() + (mean - score).square().sum()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    return spent


def our_epoch(backbone: VideoBackbone, samples: Sequence[Sample], cache: Path) -> Spent:
    """The second epoch of ours."""
    more = {"shift": 0, "flip": True, "jitter": 0}
    source, _ = live_pixels.live_pixels(samples, SCALE, {"pixels": backbone}, cache, **more)
    method = discovery.find("methods", "dae").build(FeatureSpec({"pixels": backbone.shape}), SCALE)
    model = Assessor(method, Standardise({}), {"pixels": backbone}, target="score", fuse="none")
    settings = Settings(epochs=2, batch_size=BATCH, optimizer="adam", freeze_norm=True, device="cpu")
    ends: list[Spent] = []
    fit([Member(model, source)], {}, settings, report=lambda *_: ends.append(Spent(time.perf_counter(), used())))
    first, second = ends
    return Spent(second.wall - first.wall, second.cpu - first.cpu)


def epoch(name: str, folder: Path) -> Row:
    """One epoch each: the published loop and ours."""
    build: Callable[[], VideoBackbone] = {"c3d_small": c3d_small.build, "i3d": lambda: i3d.build(size=SIDE)}[name]
    data, options = discovery.parse_spec(DIVES[name])
    samples = list(datasets.load(data, folder / "dives", **options).samples)
    size = build().pixels.resize
    assert isinstance(size, tuple)
    theirs = published_epoch(build(), samples, folder / "jpegs" / name, size[::-1])
    ours = our_epoch(build(), samples, folder / "cache")
    row = {"part": f"epoch: {name}", "videos": len(samples), "published_s": theirs.wall, "ours_s": ours.wall}
    return {**row, "published_cpu_s": theirs.cpu, "ours_cpu_s": ours.cpu, "ratio": theirs.wall / ours.wall}


def measure(only: Sequence[str], networks: Sequence[str], threads: int, folder: Path) -> Iterator[Row]:
    """Measure the rows of some parts; readers copy with one thread each."""
    torch.set_num_threads(1)
    backbone = i3d.build(size=SIDE)
    if {"host", "loader", "overlap"} & {*only}:
        samples = films(folder, VIDEOS)
        source = staged(samples, backbone, folder / "cache")
        if "host" in only:
            yield from host(source)
        if "loader" in only:
            yield from loader(source, [jpegs(sample, folder / "jpegs" / sample.id) for sample in samples])
        if "overlap" in only:
            yield from overlap(source)
    if "decode" in only:
        yield from decode(films(folder, DECODED), backbone, folder)
    if "epoch" in only:
        torch.set_num_threads(threads)
        yield from (epoch(name, folder) for name in networks)


PARTS = ("host", "loader", "overlap", "decode", "epoch")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts to measure")
    parser.add_argument("--networks", nargs="+", choices=list(DIVES), default=list(DIVES), help="of the epochs")
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch, in the epochs")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for row in measure(given.only, given.networks, given.threads, Path(folder)):
            with tables.beside(given.json):
                print(
                    "  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()),
                    flush=True,
                )
            rows.append(row)
    tables.write(rows, given.json, "json")


if __name__ == "__main__":
    main()
