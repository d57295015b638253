"""Cost of training on unlabelled videos: the time of a step of each scheme divided by that of its base, on two cores.

A step includes loading the batch, losses, backward and optimizer; ``gradient`` is losses and backward only. All schemes
of a setting are timed in turn, repeatedly, and the medians are divided by

- ``base``: the base trained on a fully labelled batch of the same size. The base of a scheme with its own encoder is
  the base on top of that encoder. This is the first row, whose own base has no encoder.
- ``labelled``: the base trained only on the labelled rows of the batch.

Cached features are ten clips of 1,024 channels, as from I3D, or five windows of 76 channels of surgical kinematics.
``pixels`` are raw videos of 32 frames of 64 × 64 with a live ``c3d_small``.
Run ``OMP_NUM_THREADS=2 python benchmarks/semi_supervised_step.py [--json FILE]`` on an otherwise idle machine. On a
busy machine, use ``OMP_NUM_THREADS=1`` and ``--processor`` to measure the CPU time of one thread instead.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch

from aqakit import discovery
from aqakit.backbones import c3d_small
from aqakit.report import tables
from aqakit.system import configuration
from aqakit.training.assessor import Assessor, Standardise
from aqakit.training.batches import CachedFeatures
from aqakit.training.collating import collate
from aqakit.training.loop import fit
from aqakit.training.settings import Settings
from aqakit.training.state import Member
from aqakit.types import Batch, FeatureSpec, LabelSpec, Sample, ScoreScale, Stream

Clock = Callable[[], float]
LABELS = LabelSpec(ScoreScale(0, 100))
STEPS = 8
AA = "s4aqa:recovery=0:alignment=0"
AA_S4L = f"{AA}:dropout=0:base="
SCHEMES = {  # scheme: base; pseudo-labels from the second epoch on, as later in every run
    AA: "usdl",
    "s4aqa:alignment=0": AA,
    "s4aqa:recovery=0": AA,
    "s4aqa": AA,
    "s4l:question=order": AA_S4L + "usdl",
    "s4l:question=speed": AA_S4L + "usdl",
    "vat": "usdl",
    "vat:base=dae": "dae",
    "pseudo_label:round_epochs=1": "usdl",
    "mean_teacher": "usdl:dropout=0.3",
}
PIXEL_SCHEMES = {"s4l:question=rotation": AA_S4L + "usdl", "s4l:question=order": AA_S4L + "usdl"}


@dataclass(frozen=True)
class Setting:
    """Number and shape of the clips of a video, the batch size and the labelled share."""

    name: str
    clips: int
    shape: tuple[int, ...]
    batch: int
    share: float

    @property
    def labelled(self) -> int:
        return round(self.share * self.batch)

    def source(self, labelled: int, unlabelled: int) -> CachedFeatures:
        """Return as many videos as fill the batches of an epoch."""
        count = STEPS * (labelled + unlabelled)
        scores = [float(k % 100) if k < STEPS * labelled else None for k in range(count)]
        samples = [Sample(id=str(k), sources={}, score=score) for k, score in enumerate(scores)]
        generator = torch.Generator().manual_seed(0)
        shape = (count, self.clips, *self.shape)
        if len(self.shape) > 1:
            features = torch.randint(256, shape, generator=generator, dtype=torch.uint8)
        else:
            features = torch.randn(shape, generator=generator).relu()
        stream = Stream(features, torch.ones(count, self.clips, dtype=torch.bool))
        return CachedFeatures(samples, collate(samples, LABELS, {"videos": stream}))

    def assessor(self, method: str) -> Assessor:
        live = {"videos": c3d_small.build()} if len(self.shape) > 1 else {}
        shapes = {name: backbone.shape for name, backbone in live.items()} or {"videos": self.shape}
        name, options = discovery.parse_spec(method)
        module = discovery.find("methods", name)
        torch.manual_seed(0)
        built = module.build(FeatureSpec(shapes), LABELS, **configuration.configure(name, module.build, options))
        return Assessor(built, Standardise({}), live, target="score", fuse="none")


SETTINGS = [
    Setting("10 x 1024", 10, (1024,), 64, 0.25),
    Setting("10 x 1024", 10, (1024,), 64, 0.5),
    Setting("5 x 76", 5, (76,), 64, 0.25),
    Setting("5 x 76", 5, (76,), 64, 0.5),
]
PIXELS = [
    Setting("pixels", 1, (32, 64, 64, 3), 16, 0.25),
    Setting("pixels", 1, (32, 64, 64, 3), 16, 0.5),
]


class Watched(CachedFeatures):
    """A source that records when a batch is requested, which is when a step begins."""

    def __init__(self, source: CachedFeatures, clock: Clock) -> None:
        super().__init__(source.samples, source.all_rows)
        self.clock = clock
        self.asked: list[float] = []

    def batch(self, index: torch.Tensor, generator: torch.Generator | None = None) -> Batch:
        self.asked.append(self.clock())
        return super().batch(index, generator)


@dataclass(frozen=True)
class Training:
    """One method on one source."""

    setting: Setting
    method: str
    source: CachedFeatures
    labelled: int
    unlabelled: int
    clock: Clock

    def steps(self) -> list[float]:
        """Return the seconds of each training step in the second of two epochs."""
        source = Watched(self.source, self.clock)
        settings = Settings(
            epochs=2, batch_size=self.labelled + self.unlabelled, labelled_share=self.share, device="cpu"
        )
        fit([Member(self.setting.assessor(self.method), source)], {}, settings)
        return [after - before for before, after in pairwise(source.asked[-STEPS:])]

    def gradients(self) -> list[float]:
        """Return the seconds of losses and backward, measured repeatedly."""
        assessor, times = self.setting.assessor(self.method).train(), []
        assessor.begin_epoch(1)
        batch = self._batch()
        for _ in range(1 + STEPS // 2):
            before = self.clock()
            torch.stack(list(assessor.losses(batch).values())).sum().backward()
            times.append(self.clock() - before)
            assessor.zero_grad(set_to_none=True)
        return times[1:]

    @property
    def share(self) -> float:
        return self.labelled / (self.labelled + self.unlabelled)

    def _batch(self) -> Batch:
        known = STEPS * self.labelled
        return self.source.batch(torch.cat([torch.arange(self.labelled), known + torch.arange(self.unlabelled)]))


def timed(trainings: Sequence[Training], repetitions: int) -> list[dict[str, float]]:
    """Return the median milliseconds of each training, measured in turn."""
    seconds: list[dict[str, list[float]]] = [{"step": [], "gradient": []} for _ in trainings]
    for _ in range(repetitions):
        for found, training in zip(seconds, trainings):
            found["step"] += training.steps()
            found["gradient"] += training.gradients()
    return [{name: 1e3 * statistics.median(values) for name, values in found.items()} for found in seconds]


def measure(setting: Setting, schemes: dict[str, str], repetitions: int, clock: Clock) -> list[dict[str, object]]:
    """Return a row for each scheme."""
    few, rest = setting.labelled, setting.batch - setting.labelled
    mixed, full, alone = setting.source(few, rest), setting.source(setting.batch, 0), setting.source(few, 0)
    bases = list(dict.fromkeys(schemes.values()))
    trainings = [Training(setting, name, mixed, few, rest, clock) for name in schemes]
    trainings += [Training(setting, name, full, setting.batch, 0, clock) for name in bases]
    trainings += [Training(setting, name, alone, few, 0, clock) for name in bases]
    found = timed(trainings, repetitions)
    of_scheme = dict(zip(schemes, found))
    of_base = dict(zip(bases, found[len(schemes) :]))
    of_labelled = dict(zip(bases, found[len(schemes) + len(bases) :]))
    rows: list[dict[str, object]] = []
    for name, base in schemes.items():
        own, whole, part = of_scheme[name], of_base[base], of_labelled[base]
        ratios = {f"{kind}/base": own[kind] / whole[kind] for kind in own}
        ratios |= {f"{kind}/labelled": own[kind] / part[kind] for kind in own}
        about = {"videos": setting.name, "share": setting.share, "method": name, "base": base}
        rows.append({**about, "step_ms": own["step"], "gradient_ms": own["gradient"], **ratios})
    return rows


def show(rows: Sequence[dict[str, object]]) -> None:
    print(f"{'videos':10} {'share':>5}  {'method':32} {'step ms':>8} {'÷ base':>7} {'÷ lab.':>7} "
          f"{'grad ms':>8} {'÷ base':>7} {'÷ lab.':>7}")  # fmt: skip
    for r in rows:
        print(f"{r['videos']:10} {r['share']:5.2f}  {r['method']:32} "
              f"{r['step_ms']:8.2f} {r['step/base']:7.2f} {r['step/labelled']:7.2f} "
              f"{r['gradient_ms']:8.2f} {r['gradient/base']:7.2f} {r['gradient/labelled']:7.2f}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--only", choices=["features", "pixels"])
    parser.add_argument("--processor", action="store_true")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1 if given.processor else 2)
    clock = time.process_time if given.processor else time.perf_counter
    rows = []
    for chosen, settings, schemes in (("features", SETTINGS, SCHEMES), ("pixels", PIXELS, PIXEL_SCHEMES)):
        for setting in settings if given.only in (None, chosen) else ():
            made = measure(setting, schemes, given.repetitions, clock)
            with tables.beside(given.json):
                show(made)
            rows += made
    tables.write(rows, given.json, "json")


if __name__ == "__main__":
    main()
