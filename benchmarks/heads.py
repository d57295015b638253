"""What an epoch of a head on cached features costs, beside a training loop written by hand over the same tensors.

    python benchmarks/heads.py [--videos 1059] [--clips 10] [--width 1024] [--members 5] [--threads 1] [--json FILE]

The default size is that of MTL-AQA. The loop by hand is plain PyTorch with the same network, batches, loss, clipping,
optimiser and schedule: as most people write it, and with the fused optimiser. All take turns in one process, so that
the ratios hold on a machine that has other work to do.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from aqakit.methods import dae
from aqakit.report import tables
from aqakit.training.assessor import Assessor, Standardise
from aqakit.training.batches import CachedFeatures
from aqakit.training.collating import collate
from aqakit.training.epoch import make_states, train_epoch
from aqakit.training.settings import Settings
from aqakit.training.state import Member
from aqakit.types import FeatureSpec, LabelSpec, Sample, ScoreScale, Stream

DROPOUT = 0.3
CPU = torch.device("cpu")


def features(videos: int, clips: int, width: int) -> CachedFeatures:
    """Random features and scores."""
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(videos, clips, width, generator=generator)
    scores = (50 + 20 * torch.randn(videos, generator=generator)).tolist()
    samples = [Sample(str(number), {}, score=score) for number, score in enumerate(scores)]
    streams = {"features": Stream(values, torch.ones(videos, clips, dtype=torch.bool))}
    return CachedFeatures(samples, collate(samples, LabelSpec(ScoreScale(0, 100)), streams))


def ours(data: CachedFeatures, count: int, settings: Settings) -> Callable[[int], Any]:
    """Epochs of ``count`` members on all the data."""
    width = data.pool.features.shape[2]
    made = []
    for seed in range(count):
        torch.manual_seed(seed)
        method = dae.build(FeatureSpec({"features": (width,)}), LabelSpec(ScoreScale(0, 100)), dropout=DROPOUT)
        model = Assessor(method, Standardise({}), {}, target="score", fuse="none")
        made.append(Member(model, data, seed=seed))
    states = make_states(made, settings)
    return lambda epoch: [train_epoch(state, settings, epoch, CPU) for state in states]


def by_hand(data: CachedFeatures, settings: Settings, fused: bool) -> Callable[[int], Any]:
    """Epochs of one model, without any of aqakit's code."""
    inputs, targets = data.pool.features, data.pool.score
    trunk = nn.Sequential(
        *(nn.Linear(inputs.shape[2], 256), nn.ReLU(), nn.Dropout(DROPOUT)),
        *(nn.Linear(256, 128), nn.ReLU(), nn.Dropout(DROPOUT)),
    )
    model = nn.ModuleDict({"trunk": trunk, "mean": nn.Linear(128, 1), "log_variance": nn.Linear(128, 1)})
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=settings.weight_decay, fused=fused)
    batches = -(-len(inputs) // settings.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.epochs * batches)

    def epoch(number: int) -> None:
        for index in torch.randperm(len(inputs)).tensor_split(batches):
            hidden = model["trunk"](inputs[index].mean(1))
            mean, log_variance = (model[name](hidden).squeeze(1) for name in ("mean", "log_variance"))
            mean, log_variance = 50 + 25 * mean, 8 * torch.tanh(log_variance / 8)
            deviation = (log_variance / 2).exp() * 25
            loss = (0.6 * ((mean - targets[index]) / deviation).square() + 0.8 * deviation.log()).mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            loss.item()

    return epoch


def measure(loops: dict[str, Callable[[int], Any]], epochs: int) -> dict[str, float]:
    """Median seconds of an epoch, by name; the loops take turns, and the first epoch is not counted."""
    taken: dict[str, list[float]] = {name: [] for name in loops}
    for epoch in range(epochs):
        for name, loop in loops.items():
            start = time.perf_counter()
            loop(epoch)
            taken[name].append(time.perf_counter() - start)
    return {name: statistics.median(values[1:]) for name, values in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=1059)
    parser.add_argument("--clips", type=int, default=10)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--members", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=11)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    data, settings = features(given.videos, given.clips, given.width), Settings(epochs=given.epochs)
    several = f"{given.members} members"
    seconds = measure(
        {
            "by hand": by_hand(data, settings, fused=False),
            "by hand, fused optimiser": by_hand(data, settings, fused=True),
            "one member": ours(data, 1, settings),
            several: ours(data, given.members, settings),
        },
        given.epochs,
    )
    rows = [
        {"loop": n, "s/epoch": s, "÷ by hand": s / seconds["by hand"], "÷ one member": s / seconds["one member"]}
        for n, s in seconds.items()
    ]
    with tables.beside(given.json):
        tables.show(rows, title=f"{given.videos} videos × {given.clips} clips × {given.width}, {given.threads} threads")
    tables.write(rows, given.json, "json")


if __name__ == "__main__":
    main()
