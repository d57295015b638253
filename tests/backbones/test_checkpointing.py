"""Checkpointing changes no bit of gradients and statistics, and takes a third of the memory at the papers' size."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import finalize

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from aqakit.backbones import i3d
from aqakit.backbones.parts import checkpointing


class Held(TorchDispatchMode):
    """The bytes that tensors made within the block hold, and the most at one time."""

    def __init__(self) -> None:
        super().__init__()
        self.known: set[int] = set()
        self.now = self.most = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self._note(tensor.untyped_storage())
        return made

    def _note(self, storage: torch.UntypedStorage) -> None:
        if storage._cdata not in self.known:
            self.known.add(storage._cdata)
            self.now += (size := storage.nbytes())
            self.most = max(self.most, self.now)
            finalize(storage, self._gone, storage._cdata, size)

    def _gone(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.now -= size


@pytest.mark.slow
@pytest.mark.parametrize("frozen", [False, True])
def test_gradients_and_statistics_are_the_same_bits(frozen: bool) -> None:
    clips = torch.randint(256, (3, 8, 32, 32, 3), dtype=torch.uint8)
    found = []
    for saving in (False, True):
        backbone = i3d.build(size=32, plan="uniform/count=3/frames=8/stride=1", checkpointing=saving)
        backbone.train(not frozen)
        for _ in range(2):  # statistics are those of both
            features = backbone(clips)
            features.square().sum().backward()
        gradients = [p.grad for p in backbone.parameters()]
        found.append([features.detach(), *gradients, *backbone.state_dict().values()])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_features_and_fingerprint_are_those_without() -> None:
    plain, saving = (i3d.build(size=32, checkpointing=value) for value in (False, True))
    assert plain.fingerprint() == saving.fingerprint()
    clips = torch.randint(256, (1, 16, 32, 32, 3), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(plain(clips), saving(clips))


@pytest.mark.slow
def test_eight_videos_of_ten_clips_take_a_third_of_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the device ``meta``, whose tensors have shapes and no content.

    What is saved for the gradients is counted after the forward pass, and after each stage is computed again.
    """
    whole, saved, most = checkpointing._on_copies, [], []

    @contextmanager
    def counted(stage: nn.Module) -> Iterator[None]:
        try:
            with whole(stage):
                yield
        finally:  # computing again ends with an exception
            saved[-1].append(held.now)

    monkeypatch.setattr(checkpointing, "_on_copies", counted)
    for saving in (False, True):
        backbone = i3d.build(checkpointing=saving).to("meta").train()
        clips = torch.empty(80, 16, 224, 224, 3, dtype=torch.uint8, device="meta")
        gc.collect()
        with Held() as held:
            features = backbone(clips)
            saved.append([held.now])
            features.sum().backward()
        most.append(held.most)
    plain, less = (max(one) / 80 / 2**20 for one in saved)
    assert plain == pytest.approx(300, rel=0.1)  # MiB a clip
    assert less < plain / 3
    assert most[1] < most[0] / 2  # with the gradients on their way
