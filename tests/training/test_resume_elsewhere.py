"""A checkpoint moves between machines: what a GPU wrote is resumed on a CPU. One that may not be read is not absent."""

import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_map_only

from aqakit.errors import RunError
from aqakit.system import tensors as storage
from aqakit.training.state import RESUME_FILE, History, Member, ModelState, TrainingState


def _state(seed: int, device: str = "cpu") -> TrainingState:
    torch.manual_seed(seed)
    network = nn.Linear(3, 2).to(device)
    optimizer = torch.optim.AdamW(network.parameters(), 0.1)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    model = ModelState([Member(network, train=None)], network, optimizer, schedule, rows=4)
    return TrainingState([model], History(losses=[{"loss": 1.0}]), "a run")


def _trained(device: str) -> TrainingState:
    state = _state(0, device)
    state.states[0].losses(torch.ones(4, 3, device=device)).sum().backward()
    state.states[0].step(None)
    state.keep_best((1.0,), 3)
    return state


def _check(resumed: TrainingState, written: TrainingState) -> None:
    (one,), (other,) = resumed.states, written.states
    moments = [model.optimizer.state_dict()["state"][0]["exp_avg"] for model in (one, other)]
    pairs = [*zip(one.losses.parameters(), other.losses.parameters(), strict=True), moments]
    for mine, theirs in pairs:
        assert mine.device.type == "cpu"
        assert torch.equal(mine, theirs.cpu())
    assert one.scheduler.state_dict() == other.scheduler.state_dict()
    assert (resumed.history.best, resumed.best_value) == (3, (1.0,))
    assert torch.equal(resumed.best_weights[0]["weight"], other.losses.weight.cpu())


class Elsewhere(torch.Tensor):
    """A tensor of another device, whose values no one reads before they are copied to the CPU."""

    def numpy(self, *args, **options):
        raise TypeError("can't convert a tensor of cuda:0 to numpy; copy it to the CPU first")

    def cpu(self):
        return self.as_subclass(torch.Tensor)


def test_a_checkpoint_of_another_device_is_resumed_on_a_cpu(tmp_path):
    written = _trained("cpu")
    away = tree_map_only(torch.Tensor, lambda tensor: tensor.as_subclass(Elsewhere), written.states[0].state_dict())
    written.states[0].state_dict = lambda: away
    written.save(tmp_path / RESUME_FILE, 4)
    resumed = _state(1)
    assert resumed.load(tmp_path / RESUME_FILE) == 5
    _check(resumed, written)
    found, _ = storage.load(tmp_path / RESUME_FILE, required=True)
    assert {tensor.device.type for tensor in found.values()} == {"cpu"}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_checkpoint_of_a_gpu_is_resumed_on_a_cpu(tmp_path):
    written = _trained("cuda")
    written.save(tmp_path / RESUME_FILE, 4)
    resumed = _state(1)
    assert resumed.load(tmp_path / RESUME_FILE) == 5
    _check(resumed, written)


def test_a_checkpoint_that_may_not_be_read_is_refused(tmp_path, monkeypatch):
    written = _trained("cpu")
    written.save(tmp_path / RESUME_FILE, 4)
    opened = type(tmp_path).open

    def closed(self, *args, **options):  # root may read every file
        if self.name == RESUME_FILE:
            raise PermissionError(13, "Permission denied", str(self))
        return opened(self, *args, **options)

    monkeypatch.setattr(type(tmp_path), "open", closed)
    with pytest.raises(RunError, match=f"{RESUME_FILE}: Permission denied"):
        _state(1).load(tmp_path / RESUME_FILE)


def test_without_a_checkpoint_training_starts(tmp_path):
    assert _state(1).load(tmp_path / RESUME_FILE) == 0
