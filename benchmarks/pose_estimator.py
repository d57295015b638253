"""Train a pose estimator for the rendered dives, from pixels to joints, on dives of other seeds.

A small network learns the positions of the 17 joints from single frames of dives of two seeds, whose pools no other
seed has. A joint outside the picture is placed at its edge. The script prints the distance of predicted from true
joints in all frames of dives of a third seed, as a share of the body's size. The backbone ``pose`` reads the saved
model. The script takes about six minutes on one core, including rendering:

    python benchmarks/pose_estimator.py --out diver.xml
    aqakit benchmark synthetic_dives:count=900 --target total --standardise yes --epochs 25 --schedule one-cycle \\
        --backbone pose:model=diver.xml:size=128:plan=uniform/count=1/frames=64 --seeds 3 --methods regression,usdl,dae

With ``c3d_avg:hidden=256`` among the methods, ``aqakit evaluate RUN`` prints attributes and captions.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import openvino as ov
import torch
from torch import Tensor, nn

from aqakit import datasets
from aqakit.backbones.skeleton import body_size
from aqakit.datasets.synthetic_dives import JOINTS
from aqakit.recordings import video
from aqakit.recordings.transforms import CONVENTIONS, normalise
from aqakit.report import tables
from aqakit.types import Sample

SEEDS, HELD_OUT = (1, 2), 15
TESTED, ALL = 60, 1000  # number of test dives; more frames than any dive has
SIZE, BATCH = 128, 32
EPOCHS, RATE, SURPRISE = 4, 2e-3, 0.01
COLOURS = CONVENTIONS["imagenet"]  # the backbone's default


def _unit(before: int, after: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(before, after, 3, stride, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(after), nn.ReLU(inplace=True))


class Diver(nn.Module):
    """Maps pictures (n, 3, H, W) to joints (n, 17, 2): x and y as shares of the picture, from the means of heatmaps."""

    def __init__(self) -> None:
        super().__init__()
        self.quarter = nn.Sequential(_unit(3, 16, 2), _unit(16, 32, 2), _unit(32, 32))
        self.eighth = nn.Sequential(_unit(32, 64, 2), _unit(64, 64))
        self.sixteenth = nn.Sequential(_unit(64, 128, 2), _unit(128, 128), _unit(128, 128), nn.Conv2d(128, 64, 1))
        self.narrow = nn.Sequential(_unit(64, 64), nn.Conv2d(64, 32, 1))
        self.maps = nn.Sequential(_unit(32, 32), nn.Conv2d(32, len(JOINTS), 1))
        self.larger = nn.Upsample(scale_factor=2)

    def heatmaps(self, pictures: Tensor) -> Tensor:
        """Return logits (n, 17, H / 4, W / 4)."""
        quarter = self.quarter(pictures)
        eighth = self.eighth(quarter)
        eighth = eighth + self.larger(self.sixteenth(eighth))
        return self.maps(quarter + self.larger(self.narrow(eighth)))

    def forward(self, pictures: Tensor) -> Tensor:
        return _means(self.heatmaps(pictures))


def _means(logits: Tensor) -> Tensor:
    maps = logits.flatten(2).softmax(2).unflatten(2, logits.shape[2:])
    x, y = ((torch.arange(side) + 0.5) / side for side in (maps.shape[3], maps.shape[2]))
    return torch.stack([(maps.sum(2) * x).sum(2), (maps.sum(3) * y).sum(2)], 2)


def _loss(logits: Tensor, joints: Tensor) -> Tensor:
    """Mean absolute error of coordinates, plus the weighted cross-entropy of the true heatmap cells."""
    side = logits.shape[2]
    x, y = (joints * side).long().clamp(max=side - 1).unbind(2)
    surprise = nn.functional.cross_entropy(logits.flatten(2).flatten(0, 1), (y * side + x).flatten())
    return (_means(logits) - joints).abs().mean() + SURPRISE * surprise


def some_frames(sample: Sample, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return random frames (count, H, W, 3) of a dive, and the joints (count, 17, 2) as shares of the picture."""
    joints = np.load(sample.sources["skeleton"])
    chosen = np.sort(rng.choice(len(joints), min(count, len(joints)), replace=False))
    frames = video.stream(sample.sources["video"], chosen.tolist(), size=(SIZE, SIZE))
    return np.stack([frame for _, frame in frames]), (joints[chosen] / SIZE).clip(0, 1)


def gather(samples: Sequence[Sample], count: int) -> tuple[Tensor, Tensor]:
    """Return pictures (n, H, W, 3) uint8 and joints (n, 17, 2), up to ``count`` of each dive."""
    rng = np.random.default_rng(0)
    pictures, joints = zip(*(some_frames(sample, count, rng) for sample in samples), strict=True)
    return torch.from_numpy(np.concatenate(pictures)), torch.from_numpy(np.concatenate(joints))


def batches(pictures: Tensor, joints: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches in a new random order and with random brightness in every epoch."""
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(pictures)).split(BATCH)[: len(pictures) // BATCH]:
            light = 1 + 0.1 * torch.randn(len(rows), 3, 1, 1)
            yield normalise(pictures[rows], *COLOURS) * light, joints[rows]


def train(pictures: Tensor, joints: Tensor) -> Diver:
    """Train with AdamW and a one-cycle learning rate."""
    network = Diver().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, EPOCHS * (len(pictures) // BATCH))
    for step, (x, truth) in enumerate(batches(pictures, joints), 1):
        with torch.autocast("cpu", torch.bfloat16):
            logits = network.heatmaps(x.to(memory_format=torch.channels_last))
        loss = _loss(logits.float(), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            print(f"step {step}  loss {loss:.4f}", flush=True)
    return network.eval()


def save(network: Diver, path: Path) -> None:
    """Save the network for OpenVINO, for any batch size."""
    model = ov.convert_model(network, example_input=torch.zeros(2, 3, SIZE, SIZE), input=[-1, 3, SIZE, SIZE])
    ov.save_model(model, path, compress_to_fp16=False)


@torch.inference_mode()
def distances(network: nn.Module, sample: Sample) -> np.ndarray:
    """Return the distances (T, 17) of predicted from true joints, in body sizes."""
    pictures, truth = gather([sample], ALL)
    found = network(normalise(pictures, *COLOURS))
    return (found - truth).norm(dim=2).numpy() / body_size(truth.numpy())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--dives", type=int, default=500, help="number of dives of each training seed")
    parser.add_argument("--frames", type=int, default=16, help="number of frames of each dive")
    parser.add_argument("--json", type=Path, help="write the distances as JSON")
    given = parser.parse_args()
    torch.manual_seed(0)
    learnt = [s for seed in SEEDS for s in datasets.load("synthetic_dives", count=given.dives, seed=seed).samples]
    with tables.beside(given.json):
        network = train(*gather(learnt, given.frames))
    save(network, given.out)
    tested = datasets.load("synthetic_dives", count=TESTED, seed=HELD_OUT).samples
    off = np.concatenate([distances(network, sample) for sample in tested])
    with tables.beside(given.json):
        print(f"distance from the true joints, in body sizes: mean {off.mean():.3f}, median {np.median(off):.3f}")
    tables.write([{"mean": off.mean(), "median": np.median(off), "frames": len(off)}], given.json, "json")


if __name__ == "__main__":
    main()
