"""How far comparisons take a method, beside the scores they stand for, on synthetic dives.

    python benchmarks/pairs.py [--methods regression,svr] [--train 300] [--test 300] [--pairs 600,1200,2400]
        [--wrong 0.1] [--seeds 3] [--backbone skeleton] [--few 0] [--set epochs=30] [--json FILE]

The same dives are learnt from their scores, or from pairs of them alone: drawn at random without putting back, the one
with the higher score first, but for the share that is wrong. Each method is judged on other dives by the scores, which
no pair shows. Seeds differ in the drawn pairs and in the run. ``--few`` adds runs on that many scores, alone and beside
the pairs, for methods that learn by steps. The interval of Spearman is a bootstrap over test dives and seeds, and so is
that of its share of what all scores reach (the same resamples).
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import aqakit
from aqakit import datasets, discovery
from aqakit.metrics.accuracy import spearman
from aqakit.metrics.bootstrap import interval
from aqakit.metrics.comparison import resampled
from aqakit.report import tables
from aqakit.types import Floats, Sample

METHODS = "regression,svr"


def manifest(folder: Path, dives: Sequence[Sample], train: int, *, scored: bool) -> Path:
    """A manifest of joints, of which the first rows are for training, with their scores or without."""
    file = folder / f"{'scores' if scored else 'alone'}.csv"
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["id", "skeleton", "video", "score", "split"])
        for k, dive in enumerate(dives):
            score, part = ("" if k < train and not scored else dive.score), ("train" if k < train else "test")
            writer.writerow([dive.id, dive.sources["skeleton"], dive.sources["video"], score, part])
    return file


def draw(folder: Path, dives: Sequence[Sample], count: int, wrong: float, seed: int) -> Path:
    """A file of pairs with different scores, of which a share is the wrong way round."""
    rng, score = np.random.default_rng([seed, count]), np.array([dive.score for dive in dives], float)
    first, second = np.triu_indices(len(dives), 1)
    apart = np.flatnonzero(score[first] != score[second])
    chosen = rng.choice(apart, count, replace=False)
    right = score[first[chosen]] > score[second[chosen]]
    right[: round(wrong * count)] ^= True  # the chosen ones are in no order
    better, worse = np.where(right, [first[chosen], second[chosen]], [second[chosen], first[chosen]])
    file = folder / f"pairs-{count}-{seed}.csv"
    with file.open("w", newline="") as out:
        csv.writer(out).writerows([("better", "worse"), *((dives[b].id, dives[w].id) for b, w in zip(better, worse))])
    return file


def sources(given: argparse.Namespace) -> Iterator[tuple[str, int | None, int]]:
    """What is learnt from, by name: how many scores (None for all) and how many pairs."""
    counts = [int(count) for count in given.pairs.split(",") if count]
    yield "scores", None, 0
    yield from ((f"{count} pairs", 0, count) for count in counts)
    if given.few:
        yield f"{given.few} scores", given.few, 0
        yield from ((f"{given.few} scores, {count} pairs", given.few, count) for count in counts)


def answers(
    method: str, given: argparse.Namespace, dives: Sequence[Sample], folder: Path, scores: int | None, count: int
) -> Iterator[tuple[Floats, Floats]]:
    """True scores and answers of the test dives, for each seed."""
    file = manifest(folder, dives, given.train, scored=scores != 0)
    score = {dive.id: dive.score for dive in dives}
    for seed in range(given.seeds):
        more: dict[str, Any] = {"seed": seed} | ({"labels": str(scores)} if scores else {})
        if count:
            more["pairs"] = str(draw(folder, dives[: given.train], count, given.wrong, seed))
        out = folder / f"{method}-{scores}-{count}-{seed}"
        more |= dict(one.split("=", 1) for one in given.set)
        name, own = discovery.parse_spec(method)
        run = aqakit.train(
            name, data="manifest", root=file, backbone=given.backbone, cache=folder / "cache", out=out, **own, **more
        )
        true = np.array([score[name] for name in run.ids("test")], float)
        yield true, run.prediction("test").mean.double().numpy()


def judge(method: str, given: argparse.Namespace, dives: Sequence[Sample], folder: Path) -> list[dict[str, Any]]:
    """A row for each source."""
    rows: list[dict[str, Any]] = []
    reached, whole = np.empty(0), 0.0
    for name, scores, count in sources(given):
        start = time.perf_counter()
        found = list(answers(method, given, dives, folder, scores, count))
        true, means = found[0][0], np.stack([mean for _, mean in found])
        drawn, own = resampled(spearman, true, means), float(np.mean(spearman(true[None], means)))
        if not rows:
            reached, whole = drawn, own
        low, high = interval(drawn)
        row: dict[str, Any] = {"method": method, "learnt from": name, "spearman": own, "low": low, "high": high}
        with np.errstate(divide="ignore", invalid="ignore"):  # a resample of a few dives may rank at 0
            below, above = interval(drawn / reached)
        row |= {"of scores": own / whole, "of scores low": below, "of scores high": above}
        rows.append(row | {"seconds": (time.perf_counter() - start) / given.seeds})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", default=METHODS)
    parser.add_argument("--train", type=int, default=300)
    parser.add_argument("--test", type=int, default=300)
    parser.add_argument("--pairs", default="600,1200,2400")
    parser.add_argument("--wrong", type=float, default=0.1)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--backbone", default="skeleton")
    parser.add_argument("--few", type=int, default=0, help="scores that are kept beside pairs (0: none are)")
    parser.add_argument("--set", action="append", default=[], help="an option of the runs, as epochs=30")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    dives = datasets.load("synthetic_dives", count=given.train + given.test).samples
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for method in given.methods.split(","):
            own = judge(method, given, dives, Path(folder))
            with tables.beside(given.json):
                tables.show(own, title=f"{method}: {given.train} dives, {given.wrong:.0%} of the pairs wrong")
            rows += own
            tables.write(rows, given.json, "json")


if __name__ == "__main__":
    main()
