"""Groups of measures against the closed form of a linear model, noise against games without any, and a whole run."""

import csv
import json
import math
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from typer.testing import CliRunner

import aqakit
from aqakit.backbones.parts.named import Measure
from aqakit.cli.app import app
from aqakit.errors import OptionError
from aqakit.explanation import better, measures, sentences
from aqakit.explanation.better import Better, limits
from aqakit.methods.parts.declared import PENALTY, design
from aqakit.scores.distributions import Point
from aqakit.training.summary import TrainingSummary
from aqakit.types import LabelSpec, ScoreScale, Stream
from tests.synthetic import batch

RANDOM = np.random.default_rng(0)
MEASURES = tuple(
    Measure(f"{group}, {name}", "degrees", group, "more", group, name)
    for group in ("left knee angle", "right knee angle", "left hip angle", "trunk lean")
    for name in ("lowest", "highest", "mean")
)
WEIGHTS = torch.tensor([1.0, 0.5, 0, 2, 0, 0, 0, -1, 0.25, 0, 0, 0])
GROUPS = {"hip angle": slice(6, 9), "knee angle": slice(0, 6), "trunk lean": slice(9, 12)}


class Recorded:
    """A backbone whose features are the measures above, the lowest of which are at 2 s."""

    measures = MEASURES
    reads = "skeleton"

    def second(self, path, measure, window=None):
        return 2.0 if measure.statistic == "lowest" else None

    def sides(self, path, window=None):
        return {"left": "right", "right": "left"}


def linear_run(samples=60, target="score", difficulty=None, seed=0):
    """A run whose model is linear, with training samples whose measures vary by 1."""
    generator = torch.Generator().manual_seed(seed)
    known = torch.randn(samples, len(MEASURES), generator=generator)
    score = (known @ WEIGHTS).double()
    summary = TrainingSummary(
        [str(k) for k in range(samples)], score * (1 if difficulty is None else difficulty), {"test": known},
        {"test": known.mean(0, keepdim=True)}, difficulty=difficulty,
    )  # fmt: skip
    return SimpleNamespace(
        folder="run",
        backbones={"test": Recorded()},
        training_summary=summary,
        assessor=SimpleNamespace(predict_embedded=lambda video: Point(video.features.mean(1) @ WEIGHTS)),
        labels=SimpleNamespace(scale=ScoreScale(-50, 50)),
        recipe=SimpleNamespace(target=target, windows=0),
    )


def video_of(vector, clips=1):
    stream = Stream(
        torch.as_tensor(vector).float().expand(1, clips, -1).clone(), torch.ones(1, clips, dtype=torch.bool)
    )
    return batch(videos=1).replace(streams={"test": stream})


SAMPLE = SimpleNamespace(window=None, sources={"skeleton": "one.npy"}, id="one", rate="stored")


@pytest.mark.parametrize("clips", [1, 3])
def test_the_value_of_a_group_is_weight_times_difference_from_the_nearest_of_the_better_third(clips):
    run, own = linear_run(), torch.randn(len(MEASURES), generator=torch.Generator().manual_seed(5))
    found = measures.findings(run, SAMPLE, video_of(own, clips))
    known, score = run.training_summary.mean_features["test"], run.training_summary.score
    best = known[np.argsort(score.numpy())[len(score) * 2 // 3 :]].numpy()
    distance = np.square((best - own.numpy()) / known.numpy().std(0)).mean(1)
    usual = best[np.argsort(distance)[: better.NEAREST]].mean(0)
    parts = WEIGHTS.numpy() * (own.numpy() - usual)
    expected = {name: parts[columns].sum() for name, columns in GROUPS.items()}
    assert {one.group: one.points for one in found.groups} == pytest.approx(expected, abs=1e-4)
    assert sum(one.points for one in found.groups) == pytest.approx(found.prediction - found.baseline, abs=1e-4)
    assert found.prediction == pytest.approx(float(own @ WEIGHTS), abs=1e-4)
    assert [one.points for one in found.groups] == sorted(one.points for one in found.groups)
    assert all(one.error == 0 for one in found.groups)


def test_the_measure_that_is_named_is_the_one_that_costs_and_its_side_is_that_of_the_recording():
    run = linear_run()
    best = Better(run, {"test": MEASURES}).vectors["test"].mean(0)
    own = best.clone()
    own[3] -= 8  # right knee angle, lowest: weight 2
    own[0] -= 4  # left knee angle, lowest: weight 1
    own[4] += 20  # without any weight
    found = measures.findings(run, SAMPLE, video_of(own))
    first = found.groups[0]
    assert (first.group, first.measure) == ("knee angle", "left knee angle, lowest")
    assert first.value == pytest.approx(float(own[3]), abs=1e-5)
    assert (first.second, first.unit) == (2.0, "degrees")
    near = Better(run, {"test": MEASURES}).like(video_of(own))["test"]
    assert len(near) == better.NEAREST
    low, high = np.quantile(near[:, 3].numpy(), (0.1, 0.9))
    assert (first.low, first.high) == pytest.approx((low, high), abs=1e-5)
    assert first.points < -first.noise < 0
    (said,) = found.sentences
    assert said.startswith("Left knee, smallest angle: −")
    assert said.endswith(f"Costs {-first.points:.1f} points.")
    assert " at 2.0 s; the better recordings reach " in said


def test_nothing_is_said_of_what_is_usual_among_the_best_or_costs_nothing():
    run = linear_run(samples=150)
    best = Better(run, {"test": MEASURES}).vectors["test"]
    known = Better.of(run, video_of(best[0]))
    said = [measures.findings(run, SAMPLE, video_of(vector), known).sentences for vector in best[:15]]
    assert np.mean([one == [sentences.NOTHING] for one in said]) >= 0.75
    odd = best.mean(0).clone()
    odd[9:] += 30  # the trunk has no weight
    odd[4:6] += 30
    assert measures.findings(run, SAMPLE, video_of(odd), known).sentences == [sentences.NOTHING]
    good = best.mean(0) + 3 * WEIGHTS
    assert measures.findings(run, SAMPLE, video_of(good), known).sentences == [sentences.NOTHING]


def test_noise_is_a_multiple_of_the_spread_that_keeps_nine_of_ten_quiet():
    values = RANDOM.normal(size=(400, 7)) * [0.1, 1, 2, 3, 4, 5, 0]
    bound = limits(values)
    assert np.mean((values < -bound).any(1)) == pytest.approx(0.1, abs=0.003)
    squares = np.square(values).mean(0)
    assert bound / bound[5] == pytest.approx(np.sqrt((squares + squares.mean()) / (squares[5] + squares.mean())))


def kinds_run(samples=90):
    """The linear run, of three kinds whose measures and scores are far apart."""
    run, kind = linear_run(samples), torch.arange(samples) % 3
    labels = LabelSpec(ScoreScale(-500, 500), kinds=("a", "b", "c"), steps=())
    known = run.training_summary.mean_features["test"] + 20.0 * kind[:, None]
    declared = design(batch(videos=samples).replace(kind=kind), labels)
    score = run.training_summary.score + 100.0 * kind
    run.training_summary = replace(run.training_summary, score=score, mean_features={"test": known}, declared=declared)
    run.labels = labels
    return run, kind


def test_a_recording_is_compared_with_all_of_the_better_third_as_if_they_were_of_its_kind():
    run, kind = kinds_run()
    known, score = (
        one.double().numpy() for one in (run.training_summary.mean_features["test"], run.training_summary.score)
    )
    ones = np.eye(3)[kind]
    usual, level = Ridge(PENALTY).fit(ones, known), Ridge(PENALTY).fit(ones, score)
    best = np.argsort(level.predict(ones) - score)[:30]
    own = torch.full((len(MEASURES),), 20.0)
    expected = (known - usual.predict(ones))[best].mean(0) + usual.predict(np.eye(3)[1:2])[0]
    video = video_of(own).replace(kind=torch.tensor([1]))
    found = measures.findings(run, SAMPLE, video)
    assert found.compared == 30
    parts = WEIGHTS.numpy() * (own.numpy() - expected)
    values = {name: parts[columns].sum() for name, columns in GROUPS.items()}
    assert {one.group: one.points for one in found.groups} == pytest.approx(values, abs=1e-3)
    first = next(one for one in found.groups if one.group == "knee angle")
    assert 10 < first.low < first.high < 30  # not the range of all kinds, 0 to 40


def test_the_noise_does_not_depend_on_the_kind_of_the_recording():
    run, _ = kinds_run()
    made = [Better.of(run, video_of(torch.zeros(12)).replace(kind=torch.tensor([k]))).noise for k in (0, 2, -1)]
    assert made[0] == pytest.approx(made[1], abs=1e-3)
    assert made[0] == pytest.approx(made[2], abs=1e-3)


def test_few_training_recordings_say_nothing():
    run = linear_run(samples=12)
    found = measures.findings(run, SAMPLE, video_of(torch.full((len(MEASURES),), -9.0)))
    assert found.sentences == [sentences.TOO_FEW]
    json.dumps(found.to_json(), allow_nan=False)


def test_difficulty_does_not_make_a_recording_better():
    difficulty = torch.linspace(1, 4, 60)
    hard = Better(linear_run(target="total", difficulty=difficulty), {"test": MEASURES}).vectors["test"]
    assert torch.equal(hard, Better(linear_run(), {"test": MEASURES}).vectors["test"])


def test_a_run_without_named_measures_has_no_findings():
    run = linear_run()
    run.backbones = {"test": SimpleNamespace(reads="signal")}
    assert measures.explain(run, "one.npy") is None
    assert measures.findings(linear_run(), SAMPLE, video_of(torch.zeros(len(MEASURES)), clips=9)) is None


def squats(folder, count=36, frames=60):
    """People seen from the side who bend their knees; deeper is better."""
    rng, rows = np.random.default_rng(1), []
    for k in range(count):
        depth = rng.uniform(20, 100)
        np.save(folder / f"{k}.npy", squat(depth, frames, rng))
        rows.append({"id": f"r{k}", "skeleton": f"{k}.npy", "score": round(depth / 10 + rng.normal() * 0.1, 3)})
    with (folder / "my.csv").open("w", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder / "my.csv"


def squat(depth, frames, rng):
    """(T, 17, 2) joints as ``h36m17`` has them; both knees bend by ``depth`` degrees half way."""
    bend = np.radians(depth) * np.sin(np.linspace(0, np.pi, frames)) ** 2 / 2
    joints = np.zeros((frames, 17, 2))
    zero = np.zeros(frames)
    shank = np.stack([np.sin(bend), np.cos(bend)], 1) * 0.4
    thigh = np.stack([-np.sin(bend), np.cos(bend)], 1) * 0.4
    for hip, knee, ankle, x in ((1, 2, 3, 0.0), (4, 5, 6, 0.02)):
        joints[:, ankle] = [x, 0.0]
        joints[:, knee] = joints[:, ankle] + shank
        joints[:, hip] = joints[:, knee] + thigh
    pelvis = (joints[:, 1] + joints[:, 4]) / 2
    heights = {0: 0, 7: 0.25, 8: 0.5, 9: 0.6, 10: 0.65, 11: 0.48, 12: 0.2, 13: 0, 14: 0.48, 15: 0.2, 16: 0}
    for joint, height in heights.items():
        joints[:, joint] = pelvis + np.stack([zero, zero + height], 1)
    return (joints + rng.normal(size=joints.shape) * 1e-3).astype(np.float32)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("squats")
    backbone = "movement:dimensions=2:toes=no:layout=h36m17:levels=absolute:side=given"
    return aqakit.train("sparse", data="manifest", root=squats(folder), backbone=backbone, out=folder / "run",
                        cache=folder / "cache", members=1, validation=0.0,
                        penalty=0.02)  # fmt: skip


def test_a_run_explains_a_recording_in_words(run, tmp_path):
    rng = np.random.default_rng(7)
    np.save(tmp_path / "flat.npy", squat(15, 60, rng))
    np.save(tmp_path / "deep.npy", squat(95, 60, rng))
    found = measures.explain(run, tmp_path / "flat.npy")
    assert sum(one.points for one in found.groups) == pytest.approx(found.prediction - found.baseline, abs=1e-3)
    assert found.prediction == pytest.approx(float(run.predict(tmp_path / "flat.npy").mean), abs=1e-3)
    assert found.groups[0].sentence == found.sentences[0] != sentences.NOTHING
    assert measures.explain(run, tmp_path / "deep.npy").sentences == [sentences.NOTHING]
    given = ["explain", str(run.folder), str(tmp_path / "flat.npy"), "--json", str(tmp_path / "said.json")]
    shown = CliRunner().invoke(app, given)
    assert shown.exit_code == 0, shown.output
    assert found.sentences[0] in " ".join(shown.stdout.split())
    (told,) = json.loads((tmp_path / "said.json").read_text())
    assert told["measures"] == json.loads(json.dumps(found.to_json()))
    assert told["measures"]["sentences"] == found.sentences


def test_words_compare_with_the_declared_kind(tmp_path):
    """Full squats are deep and half squats are not: a half squat is not told to go deeper than half squats do."""
    rng, lines = np.random.default_rng(2), ["id,skeleton,score,kind"]
    for k in range(40):
        half, good = k % 2, rng.uniform(0, 1)
        np.save(tmp_path / f"{k}.npy", squat((30 if half else 80) + 20 * good, 60, rng))
        lines.append(f"r{k},{k}.npy,{10 * good:.2f},{'half' if half else 'full'}")
    (tmp_path / "my.csv").write_text("\n".join(lines) + "\n")
    backbone = "movement:dimensions=2:toes=no:layout=h36m17:features=few"
    made = aqakit.train("sparse", data="manifest", root=tmp_path / "my.csv", backbone=backbone, out=tmp_path / "run",
                        cache=tmp_path / "cache", members=1, validation=0.0, penalty=0.02)  # fmt: skip
    np.save(tmp_path / "new.npy", squat(50, 60, rng))  # a good half squat, or a very poor full one
    half, full = (measures.explain(made, tmp_path / "new.npy", kind=kind) for kind in ("half", "full"))
    assert half.sentences == [sentences.NOTHING]
    assert full.sentences[0].startswith(("Knee", "Hip"))
    assert half.prediction - full.prediction > 5
    recording = str(tmp_path / "new.npy")
    shown = CliRunner().invoke(app, ["predict", str(made.folder), recording])
    assert "no kind is declared, which this run compares within" in " ".join(shown.output.split())
    shown = CliRunner().invoke(app, ["predict", str(made.folder), recording, "--kind", "half"])
    assert shown.exit_code == 0
    assert "no kind is declared" not in " ".join(shown.output.split())
    with pytest.raises(OptionError, match=r"has the kind 'halve'; did you mean 'half'\?"):
        made.predict(tmp_path / "new.npy", kind="halve")


def test_the_sentence_on_too_few_says_how_many_it_takes():
    (needed,) = map(int, re.findall(r"\d+", sentences.TOO_FEW))
    assert math.ceil(needed / 3) == better.FEWEST  # the better third
    assert math.ceil((needed - 1) / 3) < better.FEWEST
