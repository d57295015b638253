"""Named parts of a recording, from a manifest to the words of an explanation."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import aqakit
from aqakit.cli.app import app
from aqakit.errors import DataError
from aqakit.explanation import contributions
from aqakit.explanation.parts import parts
from aqakit.recordings import segments
from aqakit.training.run import Run
from aqakit.types import LabelSpec, ScoreScale, Segment

LABELS = LabelSpec(ScoreScale(0, 30, "GRS"), segments={"G3": "pushing the needle"})


def test_points_of_a_name_are_summed_and_said() -> None:
    found = parts(["G3", "G1", "", "G3"], [-2.2, 0.4, 9.0, 0.3], [0.1, 0.0, 5.0, 0.2], LABELS)
    assert [(p.name, p.clips, p.sentence) for p in found] == [
        ("G3", 2, "G3, pushing the needle: −1.9 GRS"),
        ("G1", 1, "G1: +0.4 GRS"),
    ]
    assert [p.points for p in found] == pytest.approx([-1.9, 0.4])
    assert found[0].error == pytest.approx(0.3)
    assert parts(["G1"], [-0.01], [0.0], LABELS)[0].sentence == "G1: 0.0 GRS"


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of two or three parts; the score is the speed of the parts called `push`."""
    folder, rng = tmp_path_factory.mktemp("signals"), np.random.default_rng(0)
    rows = []
    for k in range(24):
        speed, ends = rng.uniform(1, 9), [0, 40, 70 + k % 10, 120][: 3 + k % 2]
        steps = rng.normal(size=(ends[-1], 2))
        steps[ends[1] : ends[2]] *= speed
        np.save(folder / f"{k}.npy", steps.cumsum(0).astype("float32"))
        named = [f"{n} {a}-{b - 1}" for n, a, b in zip(("reach", "push", "reach"), ends, ends[1:])]
        rows.append({"id": f"r{k}", "path": f"{k}.npy", "score": round(speed, 3), "segments": " > ".join(named)})
    with (folder / "my.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder / "my.csv"


@pytest.fixture(scope="module")
def run(manifest: Path) -> Run:
    backbone = "kinematics:channels=2:features=statistics:plan=gestures"
    out, cache = manifest.parent / "run", manifest.parent / "cache"
    options = {"epochs": 20, "members": 1, "validation": 0.0, "learning_rate": 1e-2}
    return aqakit.train(
        "regression", data="manifest", root=manifest, backbone=backbone, out=out, cache=cache, **options
    )


def test_the_usual_clip_of_a_name_is_the_mean_of_its_clips(run: Run, manifest: Path) -> None:
    told = {s.id: s for s in aqakit.datasets.load("manifest", manifest).samples}
    clips: dict[str, list[torch.Tensor]] = {}
    for name in run.training_summary.ids:
        sample = told[name]
        for segment, clip in zip(sample.segments, run.embed([sample]).features[0], strict=True):
            clips.setdefault(segment.name, []).append(clip)
    known = run.training_summary.named_clips["kinematics"]
    assert set(known) == {"reach", "push"}
    for name, found in clips.items():
        torch.testing.assert_close(known[name], torch.stack(found).mean(0), rtol=1e-4, atol=1e-4)
    usual = run.training_summary.usual({"kinematics": ["push", "other"]})["kinematics"]
    assert torch.equal(usual[0], known["push"])
    assert torch.equal(usual[1], run.training_summary.mean_clip["kinematics"].mean(0))


def test_clips_are_named_and_parts_add_up(run: Run, manifest: Path, tmp_path: Path) -> None:
    recording, named = manifest.parent / "1.npy", [Segment("reach", 0, 39), Segment("push", 40, 70)]
    named.append(Segment("reach", 71, 119))
    found = contributions.explain(run, recording, segments=named)
    assert [(c.name, c.first, c.last) for c in found.clips] == [tuple(s) for s in named]
    assert sum(p.points for p in found.parts) == pytest.approx(found.prediction - found.baseline, abs=1e-4)
    assert {p.name: p.clips for p in found.parts} == {"reach": 2, "push": 1}
    assert max(found.parts, key=lambda p: abs(p.points)).name == "push"  # all that the score depends on
    assert float(run.predict(recording, segments=named).mean) == pytest.approx(found.prediction, abs=1e-4)
    with pytest.raises(DataError, match="give them"):
        run.predict(recording)
    file = tmp_path / "parts.txt"
    file.write_text("".join(f"{first + 1} {last + 1} {name}\n" for name, first, last in named))
    assert segments.read(file) == tuple(named)
    given = [str(run.folder), str(recording), "--segments", str(file), "--json", "-"]
    (told,) = json.loads(CliRunner().invoke(app, ["explain", *given]).stdout)
    assert told.pop("measures")["compared"] > 0
    assert told == json.loads(json.dumps(found.to_json()))
    (row,) = json.loads(CliRunner().invoke(app, ["predict", *given]).stdout)
    assert row["score"] == pytest.approx(float(run.predict(recording, segments=named).mean), abs=1e-3)
    shown = CliRunner().invoke(app, ["explain", *given[:4]])
    assert "push: " in shown.stdout
    two = CliRunner().invoke(
        app, ["predict", str(run.folder), str(recording), str(manifest.parent / "2.npy"), *given[2:4]]
    )
    assert two.exit_code != 0


def test_clips_of_equal_length_are_named_by_what_has_half_of_them(run: Run) -> None:
    named = [Segment("a", 0, 9), Segment("b", 10, 12), Segment("a", 13, 20)]
    spans = np.array([[0, 19], [5, 14], [8, 12], [19, 40]])
    assert contributions.clip_names(spans, named) == ["a", "a", "b", ""]
    assert contributions.clip_names(spans, []) == [""] * 4
