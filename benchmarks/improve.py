"""Whether a run gets better by a coach's corrections and comparisons, on synthetic dives.

    python benchmarks/improve.py [--method dae] [--backbone skeleton] [--dives 60] [--corrections 10]
        [--comparisons 20] [--wrong 0.1] [--repetitions 10] [--set epochs=50] [--json FILE]

Each repetition has dives of its own: the old run learns from a third, a third lies on the desk, and a third is held out
from both runs. The coach tells the true scores of some dives of the desk, and judges the pairs that the page asks for,
a share of them the wrong way round. Then the new run is made and compared as the page does it, by the same code; only
the dives are read as joints, which is faster. Printed are the mean absolute errors on the dives that are held out from
both, and the page's verdict, which also counts what the members of each run held out.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import aqakit
from aqakit import discovery
from aqakit.datasets import synthetic_dives
from aqakit.datasets.parts.pairs import Pair
from aqakit.report import tables
from aqakit.training.run import Run
from aqakit.types import Sample
from aqakit.web import improving, pairs
from aqakit.web.desk_models import Judgement
from aqakit.web.jobs import Jobs, new_id

NAME = "dives"


def train(given: argparse.Namespace, learnt: Sequence[Sample], held_out: Sequence[Sample], seed: int, out: Path) -> Run:
    """The old run."""
    file = out / f"{NAME}.csv"
    with file.open("w", newline="") as text:
        writer = csv.writer(text)
        writer.writerow(["id", "skeleton", "score", "split"])
        for part, dives in (("train", learnt), ("test", held_out)):
            writer.writerows([dive.id, dive.sources["skeleton"], dive.score, part] for dive in dives)
    name, own = discovery.parse_spec(given.method)
    more = own | dict(one.split("=", 1) for one in given.set) | {"seed": seed, "cache": out / "cache"}
    return aqakit.train(name, data="manifest", root=file, backbone=given.backbone, out=out / NAME, **more)


def on_the_desk(run: Run, dives: Sequence[Sample], jobs: Jobs) -> dict[str, Sample]:
    """Score the dives, as the page does, and return them by their ids there."""
    found = {}
    for dive in dives:
        answer, job = run.predict(dive.sources["skeleton"]), new_id()
        jobs.add(dive.id, NAME, None, 1, job_id=job)
        jobs.take()
        jobs.finish(job, {"score": float(answer.mean), "std": float(answer.std)})
        found[job] = dive
    return found


def judge(jobs: Jobs, desk: dict[str, Sample], count: int, wrong: float, rng: np.random.Generator) -> list[Pair]:
    """Answer what the page asks."""
    for _ in range(count):
        asked = [row.id for row in pairs.teaching(jobs, NAME).next]
        if len(asked) < 2:
            break
        first, second = (desk[one].score or 0.0 for one in asked)
        is_first = (first > second) != (rng.random() < wrong)
        better = "equal" if first == second else "first" if is_first else "second"
        pairs.add(jobs, Judgement(first=asked[0], second=asked[1], better=better))
    items = list(desk)
    known = pairs.directed(pairs.judged(jobs), items)
    return [Pair(items[better], items[worse], weight) for better, worse, weight in known]


def told(desk: dict[str, Sample], corrected: set[str]) -> list[Sample]:
    """What the page knows of its recordings."""
    return [
        Sample(id=one, sources={"skeleton": dive.sources["skeleton"]}, score=dive.score if one in corrected else None)
        for one, dive in desk.items()
    ]


def error(run: Run) -> float:
    """Mean absolute error on the dives that are held out from both."""
    return float(np.mean(np.abs(run.prediction("test", recalibrated=True).mean.numpy() - run.truth("test"))))


def repetition(given: argparse.Namespace, seed: int, work: Path) -> dict[str, Any]:
    """A row."""
    start, rng = time.perf_counter(), np.random.default_rng([seed, 1])
    dives = synthetic_dives.samples(None, count=given.dives, seed=seed, size=64)
    learnt, there, held_out = (dives[k::3] for k in range(3))
    work.mkdir()
    old, jobs = train(given, learnt, held_out, seed, work), Jobs(work / "jobs.sqlite")
    desk = on_the_desk(old, there, jobs)
    judged = judge(jobs, desk, given.comparisons, given.wrong, rng)
    corrected = set(rng.choice(list(desk), given.corrections, replace=False))
    jobs.close()
    found = improving.learn(old, told(desk, corrected), judged, work / "new", f"{NAME}-improved-1")
    new = aqakit.load(work / "new" / "run")
    row: dict[str, Any] = {"seed": seed, "old": error(old), "new": error(new), "page says": found["verdict"]}
    row |= {"learnt": found["learnt"], "pairs": found["pairs"]}
    return row | {"seconds": time.perf_counter() - start}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", default="dae")
    parser.add_argument("--backbone", default="skeleton")
    parser.add_argument("--dives", type=int, default=60)
    parser.add_argument("--corrections", type=int, default=10)
    parser.add_argument("--comparisons", type=int, default=20)
    parser.add_argument("--wrong", type=float, default=0.1, help="share of wrong judgements (0.1)")
    parser.add_argument("--repetitions", type=int, default=10)
    parser.add_argument("--set", action="append", default=[], metavar="OPTION=VALUE", help="of training")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as work, tables.beside(given.json):
        rows = [repetition(given, seed, Path(work) / str(seed)) for seed in range(given.repetitions)]
        tables.show(rows, title=f"{given.dives} dives, {given.corrections} corrections, {given.comparisons} judgements")
        fallen = sum(row["new"] < row["old"] for row in rows)
        said = {verdict: sum(row["page says"] == verdict for row in rows) for verdict in ("better", "worse", "same")}
        print(f"the held-out error falls in {fallen} of {len(rows)} repetitions; the page says {said}")
    tables.write(rows, given.json, "json")


if __name__ == "__main__":
    main()
