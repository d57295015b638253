"""A checkpoint moves between machines: what a GPU wrote is resumed on a CPU."""

import torch
from torch import nn

from aqakit.training.state import History, MemberState, TrainingState


def _state(seed: int) -> TrainingState:
    torch.manual_seed(seed)
    network = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(network.parameters(), 0.1)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    return TrainingState([MemberState(network, optimizer, schedule)], History(losses=[{"loss": 1.0}]), "a run")


def test_a_checkpoint_of_a_gpu_is_resumed_on_a_cpu(monkeypatch, tmp_path):
    written = _state(0)
    member = written.members[0]
    member.assessor(torch.ones(4, 3)).sum().backward()
    member.step(None)
    with monkeypatch.context() as patch:
        patch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")  # as if they were on a GPU
        written.save(tmp_path / "state", 4)
    resumed = _state(1)
    assert resumed.load(tmp_path / "state") == 5
    for one, other in zip(resumed.members[0].assessor.parameters(), member.assessor.parameters(), strict=True):
        assert torch.equal(one, other)
        assert one.device.type == "cpu"
    moments = [m.optimizer.state_dict()["state"][0]["exp_avg"] for m in (resumed.members[0], member)]
    assert torch.equal(*moments)
    assert moments[0].device.type == "cpu"
