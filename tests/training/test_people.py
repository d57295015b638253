"""People with planted offsets: a few of their right recordings shift their scores, and nobody else's."""

import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import aqakit
from aqakit.cli.app import app
from aqakit.errors import AqakitError
from aqakit.evaluation.benchmark import benchmark
from aqakit.training import people
from aqakit.training.run import Run
from tests.training.test_run import write_rows

PEOPLE, EACH = 10, 8
BACKBONE = "precomputed:width=1"


@pytest.fixture(scope="module")
def offsets():
    return np.linspace(-0.4, 0.4, PEOPLE)[np.random.default_rng(3).permutation(PEOPLE)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, offsets):
    """One number per recording: right or wrong, and the offset of the person."""
    folder = tmp_path_factory.mktemp("people")
    random, rows = np.random.default_rng(0), []
    for person in range(PEOPLE):
        for number in range(EACH):
            score = number % 2
            value = score + offsets[person] + 0.02 * random.normal()
            np.save(folder / f"p{person}_{number}.npy", np.full((2, 1), value, dtype="float32"))
            row = {"id": f"p{person}_{number}", "features": f"p{person}_{number}.npy", "score": score}
            rows.append(row | {"group": f"p{person}"})
    write_rows(folder / "alone.csv", [{k: v for k, v in row.items() if k != "group"} for row in rows])
    write_rows(folder / "m.csv", rows)
    return folder


def train(folder, name, file="m.csv", **options):
    out = folder / name
    return aqakit.train(
        "svr", data="manifest", root=folder / file, backbone=BACKBONE, out=out, cache=folder / "c", **options
    )


@pytest.fixture(scope="module")
def run(folder) -> Run:
    return train(folder, "run")


def of_person(run, folder, person, numbers):
    return [run.sample(folder / f"{person}_{k}.npy") for k in numbers]


def test_the_shift_is_against_the_offset_of_the_person(run, folder, offsets):
    level = people.level_of(run)
    assert level.between > 10 * level.within
    for person in {name.split("_")[0] for name in run.ids("test")}:
        right = of_person(run, folder, person, (1, 3))
        shift = people.calibrate(run, right)
        batch = run.embed(of_person(run, folder, person, (5, 7)))
        plain, moved = run.answer(batch), run.answer(batch, shift.points)
        torch.testing.assert_close(moved.mean, plain.mean + shift.points)
        assert abs(moved.mean - level.level).max() < 0.2
        low, high = moved.interval(0.9)
        assert low.min() >= 0
        assert high.max() <= 1


def test_no_shift_is_exactly_nothing(run, folder):
    batch = run.embed(of_person(run, folder, "p0", range(EACH)))
    assert torch.equal(run.answer(batch).mean, run.answer(batch, None).mean)
    torch.testing.assert_close(run.answer(batch, 0.0).values, run.answer(batch).values)


def test_predict_says_what_was_done(run, folder, tmp_path):
    person = run.ids("test")[0].split("_")[0]
    given = [f"--calibrate-person={folder / f'{person}_{k}.npy'}" for k in (1, 3)]
    file = tmp_path / "rows.json"
    found = CliRunner().invoke(
        app, ["predict", str(run.folder), str(folder / f"{person}_5.npy"), *given, "--json", str(file)]
    )
    assert found.exit_code == 0, found.output
    assert "protocol calibrated-person: scores are shifted by" in " ".join(found.output.split())
    (row,) = json.loads(file.read_text())
    plain = float(run.answer(run.embed(of_person(run, folder, person, (5,)))).mean)
    assert row["score"] == pytest.approx(plain + row["shift"], abs=1e-3)
    assert row["shift"] != 0


@pytest.mark.slow
def test_the_benchmark_gives_and_judges_different_recordings(folder, monkeypatch):
    options = {"root": folder / "m.csv", "backbones": [BACKBONE], "methods": ["svr:kernel=linear"]}
    options |= {"cache": folder / "c", "out": folder / "bench"}  # trained once for all three tables
    before = benchmark("manifest", **options)
    same = benchmark("manifest", calibrate_person=0, **options)
    assert json.dumps(before.rows) == json.dumps(same.rows)
    monkeypatch.setattr("aqakit.evaluation.task.failures", lambda runs: [f"members of {len(runs)} runs failed"])
    table = benchmark("manifest", calibrate_person=2, **options)
    assert any("members of 5 runs failed" in note for note in table.notes)
    rows = {row["method"]: row for row in table.rows}
    assert {row["protocol"] for row in table.rows} == {"five-fold+calibrated-person"}
    assert {row["samples"] for row in table.rows} == {PEOPLE * (EACH - 2)}
    plain, moved = (rows[f"svr:kernel=linear{name}"] for name in ("", " (calibrated-person)"))
    assert moved["mae"] < 0.5 * plain["mae"]
    assert moved["accuracy"] >= plain["accuracy"]
    assert moved["auc"] >= plain["auc"]
    assert any("calibrated-person" in note for note in table.notes)


def test_what_cannot_be_calibrated_is_refused(run, folder):
    trained = next(name for name in run.ids("held-out"))
    with pytest.raises(AqakitError, match="was in the training set"):
        people.calibrate(run, of_person(run, folder, *trained.split("_")[:1], [int(trained.split("_")[1])]))
    with pytest.raises(AqakitError, match="no held-out answers"):
        people.level_of(train(folder, "single", members=1))
    with pytest.raises(AqakitError, match="name no groups"):
        people.level_of(train(folder, "alone", "alone.csv"))
    with pytest.raises(AqakitError, match="parts='group'"):
        people.level_of(train(folder, "samples", parts="sample"))
    options = {"root": folder / "alone.csv", "backbones": [BACKBONE], "cache": folder / "c", "calibrate_person": 2}
    with pytest.raises(AqakitError, match="names no group"):
        benchmark("manifest", methods=["svr"], **options)
    for wrong in ({"methods": ["svr"], "rules": ["last"]}, {"methods": [], "backbones": []}):
        with pytest.raises(AqakitError, match="held-out alone"):
            benchmark("manifest", **(options | wrong))
