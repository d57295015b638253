"""Schedules, early and timely ends, precisions and logs of training."""

import csv
import json
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import MultiStepLR, StepLR

import aqakit
from aqakit.cli.common import print_epoch
from aqakit.errors import OptionError, TimeLimitError
from aqakit.methods.parts.base import Method
from aqakit.scores.distributions import Point
from aqakit.system.numbers import duration
from aqakit.training import loop
from aqakit.training.assessor import Assessor
from aqakit.training.optimizer import make_optimizer
from aqakit.training.recipe import make_recipe
from aqakit.training.settings import Settings
from aqakit.training.stacked import Stacked
from aqakit.training.state import History, Member, ModelState, TrainingState
from tests.training.test_loop import assessor, source
from tests.training.test_run import write_rows


def rates(steps, **settings):
    """The rate of every step, as the loop takes them."""
    method = nn.Linear(2, 1)
    model = Assessor(method, nn.Identity(), {}, target="score", fuse="none")
    optimizer, schedule = make_optimizer(model, Settings(learning_rate=0.8, **settings), steps)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


class Slow(Method):
    """A method one layer of which learns at a quarter of the rate."""

    supports_vmap = True

    def __init__(self):
        super().__init__()
        self.slow, self.fast = nn.Linear(3, 2), nn.Linear(2, 1)
        self.rates = {"slow": 0.25}

    def losses(self, batch):
        return {"error": self.fast(self.slow(batch.features.mean(1))).mean()}

    def predict(self, batch):
        return Point(batch.score)


class Wrapper(Slow):
    """A method around another one, whose layers keep their rates."""

    def __init__(self):
        super().__init__()
        self.rates, self.inner = {}, Slow()

    def losses(self, batch):
        return {"outer": super().losses(batch)["error"], "inner": self.inner.losses(batch)["error"]}


@pytest.mark.parametrize("stacked", [False, True])
def test_parts_of_a_method_have_their_share_of_the_rate(stacked):
    """A step of SGD is the gradient times the rate."""
    models = [Assessor(Wrapper(), nn.Identity(), {}, target="score", fuse="none") for _ in range(2)]
    model = Stacked(models) if stacked else models[0]
    optimizer, _ = make_optimizer(model, Settings(learning_rate=0.8, weight_decay=0.0, optimizer="sgd"), 50)
    own = model.models[0] if stacked else model
    before = {name: value.detach().clone() for name, value in own.named_parameters()}
    for weight in model.parameters():
        weight.grad = torch.ones_like(weight)
    optimizer.step()
    step = {name: before[name] - value.detach() for name, value in own.named_parameters()}
    shares = {name: 0.25 if "inner.slow" in name else 1.0 for name in step}
    assert len(step) == 8
    assert sum(share < 1 for share in shares.values()) == 2
    for name, share in shares.items():
        torch.testing.assert_close(step[name], torch.full_like(step[name], 0.8 * share))


def test_step_lowers_the_rate_again_and_again():
    found = rates(21, epochs=7, schedule="step", decay_every=2, rate_decay=0.5)
    assert found == pytest.approx([0.8 * 0.5 ** (epoch // 2) for epoch in range(7) for _ in range(3)])


def test_multi_step_lowers_the_rate_at_its_milestones():
    found = rates(18, epochs=6, schedule="multi-step", milestones=(1, 4))
    assert found == pytest.approx(
        [0.8 * 0.1 ** sum(epoch >= m for m in (1, 4)) for epoch in range(6) for _ in range(3)]
    )


@pytest.mark.parametrize(
    ("options", "schedule"),
    [
        ({"schedule": "step", "decay_every": 2}, lambda one: StepLR(one, 2, 0.1)),
        ({"schedule": "step", "decay_every": 3, "rate_decay": 0.5}, lambda one: StepLR(one, 3, 0.5)),
        ({"schedule": "step", "decay_every": 9}, lambda one: StepLR(one, 9, 0.1)),
        ({"schedule": "multi-step", "milestones": (2, 3, 6)}, lambda one: MultiStepLR(one, [2, 3, 6], 0.1)),
        (
            {"schedule": "multi-step", "milestones": (1, 99), "rate_decay": 0.3},
            lambda one: MultiStepLR(one, [1, 99], 0.3),
        ),
    ],
)
def test_step_and_multi_step_are_torchs_taken_once_an_epoch(options, schedule):
    """Our schedules advance with every step, those of most code once an epoch: the rates of all steps are the same."""
    torchs = torch.optim.SGD([nn.Parameter(torch.zeros(()))], lr=0.8)
    rule, expected = schedule(torchs), []
    for _ in range(8):
        expected += [torchs.param_groups[0]["lr"]] * 5
        torchs.step()
        rule.step()
    assert rates(40, epochs=8, **options) == expected


@pytest.mark.parametrize(
    "options", [{"schedule": "step", "decay_every": 1}, {"schedule": "multi-step", "milestones": (1,)}]
)
def test_a_schedule_counts_steps_not_batches_if_gradients_are_accumulated(options, monkeypatch):
    seen = []
    monkeypatch.setattr(
        ModelState, "step", lambda self, *given, own=ModelState.step: own(self, *given) or seen.append(self.optimizer)
    )
    taken = []
    data, model = source(0, videos=20), assessor("regression")
    settings = Settings(epochs=3, batch_size=4, accumulate=2, learning_rate=1.0, **options)
    loop.fit(
        [Member(model, data)], {}, settings,
        report=lambda epoch, losses: taken.append((len(seen), seen[-1].param_groups[0]["lr"])),
    )  # fmt: skip
    rates_after = [0.1, 0.01, 0.001] if options["schedule"] == "step" else [0.1, 0.1, 0.1]
    assert [count for count, _ in taken] == [3, 6, 9]  # five batches make three steps
    assert [rate for _, rate in taken] == pytest.approx(rates_after)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"schedule": "step"}, "schedule step and decay_every belong together"),
        ({"milestones": "3,5"}, "schedule multi-step and milestones belong together"),
        ({"schedule": "multi-step", "milestones": "5,3"}, "milestones should rise"),
        ({"schedule": "multi-step", "milestones": "0,3"}, "numbers of epochs, from 1"),
        ({"rate_decay": 0.5}, "rate_decay is for the schedules step and multi-step"),
        ({"patience": 3, "select": "last"}, "patience needs a rule that compares epochs"),
        ({"schedule": "multi-step", "milestones": "3,x"}, "milestones"),
    ],
)
def test_what_would_be_ignored_is_refused(given, said):
    with pytest.raises(OptionError, match=said):
        make_recipe("dae", data="manifest", backbone="kinematics", **given)


def test_a_recipe_with_milestones_comes_back():
    recipe = make_recipe("dae", data="manifest", backbone="kinematics", schedule="multi-step", milestones="3,5")
    assert recipe.settings.milestones == (3, 5)
    assert type(recipe).from_json(json.loads(json.dumps(recipe.to_json()))).settings == recipe.settings


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A table of recordings whose mean tells the score, and which need no video."""
    folder, rng = tmp_path_factory.mktemp("signals"), np.random.default_rng(0)
    rows = []
    for n in range(24):
        quality = rng.uniform(0, 10)
        np.save(folder / f"{n}.npy", rng.normal(quality, 1, (60, 3)).astype("float32"))
        rows.append({"id": f"v{n}", "path": f"{n}.npy", "score": f"{quality:.2f}"})
    return write_rows(folder / "table.csv", rows)


def train(table, out, **options):
    return aqakit.train(
        "regression",
        **{"data": "manifest", "root": table, "backbone": "kinematics:channels=3", "out": out, "epochs": 6, "seed": 1}
        | options,
    )


def test_a_time_limit_ends_after_an_epoch_and_the_same_call_gives_the_same_bits(table, tmp_path):
    whole = train(table, tmp_path / "whole")
    for ends in range(1, 6):
        with pytest.raises(TimeLimitError, match=f"after epoch {ends} of 6; the same command goes on there"):
            train(table, tmp_path / "stopped", time_limit=1e-9)
    stopped = train(table, tmp_path / "stopped", time_limit=1e-9)
    for name in ("checkpoint.safetensors", "epochs.safetensors", "predictions.csv"):
        assert (whole.folder / name).read_bytes() == (stopped.folder / name).read_bytes()
    assert not (stopped.folder / "resume.safetensors").exists()


def test_patience_ends_when_nothing_gets_better(table, tmp_path, monkeypatch):
    values = iter([1.0, 3.0, 2.0, 2.5, 9.0, 9.0])
    monkeypatch.setattr(loop, "_value", lambda *_: (next(values),))
    run = train(table, tmp_path / "run", patience=2)
    assert run.description["epoch"] == 1
    assert len(run.description["losses"]) == len(run.epochs("held-out")) == 4
    assert any("stopped after epoch 4: 2 epochs in a row were no better" in note for note in run.description["notes"])


def test_patience_needs_samples_that_were_held_out(table, tmp_path):
    with pytest.raises(OptionError, match="patience compares epochs on samples that were held out, and there are none"):
        train(table, tmp_path / "run", patience=2, members=1)


def test_what_cannot_be_is_refused_before_anything_is_read(table, tmp_path):
    wrong = [{"log": "xml"}, {"tf32": True}, {"compile": True}, {"finetune": True, "precision": "int8"}]
    for options in wrong:
        with pytest.raises(OptionError):
            train(table, tmp_path / "run", cache=tmp_path / "cache", **options)
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("steps", range(1, 16))
def test_one_cycle_rises_and_falls_however_few_steps_there_are(steps):
    found = rates(steps, epochs=1, schedule="one-cycle")
    top = int(np.argmax(found))
    assert max(found) <= 0.8 + 1e-9
    assert found[: top + 1] == sorted(found[: top + 1])
    assert found[top:] == sorted(found[top:], reverse=True)


def test_frozen_backbones_are_not_compiled_and_tf32_is_for_gpus(table, tmp_path):
    with pytest.raises(OptionError, match="compile is for a backbone that is trained"):
        train(table, tmp_path / "run", compile=True)
    with pytest.raises(OptionError, match="tf32 is for NVIDIA GPUs, and this run is trained on cpu"):
        train(table, tmp_path / "run", tf32=True)


def test_tf32_is_switched_on_for_the_training_only():
    before = torch.get_float32_matmul_precision()
    with loop._tf32(True):
        assert torch.get_float32_matmul_precision() == "high"
    assert torch.get_float32_matmul_precision() == before


def test_the_csv_log_has_a_row_for_every_epoch_also_after_a_stop(table, tmp_path):
    seen = {}
    with pytest.raises(TimeLimitError):
        train(table, tmp_path / "run", log="csv", time_limit=1e-9)
    run = train(table, tmp_path / "run", log="csv", report=lambda epoch, losses: seen.update({epoch: losses}))
    with (run.folder / "log.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4", "5", "6"]
    terms = run.description["losses"]
    for row, known in zip(rows, terms, strict=True):
        assert {name: float(row[name]) for name in known} == pytest.approx(known, rel=1e-5)
    assert sorted(seen) == [1, 2, 3, 4, 5]


def test_tensorboard_reads_the_events(table, tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = train(table, tmp_path / "run", log="tensorboard")
    found = accumulator.EventAccumulator(str(run.folder / "tensorboard"))
    found.Reload()
    for name in run.description["losses"][0]:
        events = found.Scalars(f"loss/{name}")
        assert [event.step for event in events] == [1, 2, 3, 4, 5, 6]
        assert [e.value for e in events] == pytest.approx([terms[name] for terms in run.description["losses"]])


def test_without_tensorboard_there_is_a_sentence(table, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    with pytest.raises(OptionError, match=r"pip install 'aqakit\[logs\]'"):
        train(table, tmp_path / "run", log="tensorboard")


def test_times_are_read_as_people_write_them():
    assert [duration(text) for text in ("45s", "90m", "1.5h", "20", 7)] == [45, 5400, 5400, 20, 7]
    for wrong in ("0", "-3m", "1d", "soon", "1_000", math.nan):
        with pytest.raises(OptionError, match="is no time"):
            duration(wrong)


def test_the_time_left_stands_behind_the_losses(capsys, monkeypatch):
    clock = iter([0.0, *(100.0 * n for n in range(1, 100))])
    monkeypatch.setattr("aqakit.cli.common.time.monotonic", lambda: next(clock))
    report = print_epoch(4)
    for epoch in range(4):
        report(epoch, {"loss": 1.0})
    lines = capsys.readouterr().err.splitlines()
    assert [("left" in line) for line in lines] == [False, True, True, False]


def test_the_scale_of_float16_gradients_is_resumed(tmp_path):
    def fresh():
        net = nn.Linear(2, 1)
        scaler = torch.amp.GradScaler("cpu", init_scale=4.0, growth_interval=2)
        optimizer = torch.optim.SGD(net.parameters(), 0.1)
        schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
        model = ModelState([Member(net, train=None)], net, optimizer, schedule, rows=4, scaler=scaler)
        return TrainingState([model], History(losses=[{"loss": 1.0}]), "a run")

    state = fresh()
    (model,) = state.states
    for _ in range(3):
        model.scaler.scale(model.losses(torch.ones(1, 2)).sum()).backward()
        gradient = model.losses.weight.grad / model.scaler.get_scale()
        before = model.losses.weight.detach().clone()
        model.step(None)
        assert torch.allclose(model.losses.weight, before - 0.1 * gradient)
    state.keep_best((1.0,), 0)
    state.save(tmp_path / "resume", 0)
    resumed = fresh()
    resumed.load(tmp_path / "resume")
    assert resumed.states[0].scaler.get_scale() == model.scaler.get_scale() == 8.0
