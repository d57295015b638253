"""Fixtures that several tests share."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from aqakit.metrics import comparison
from aqakit.training import members

_BLOCK = 65_521  # a prime, so that no two rows of a weight are alike
SHARED = Path(__file__).resolve().parents[2] / "shared"


def _folder(variable: str, default: Path) -> Path:
    folder = Path(os.environ.get(variable, default))
    if not folder.is_dir():
        pytest.skip(f"needs real data: set {variable} to its folder")
    return folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    return _folder("AQAKIT_DATA", SHARED / "data")


@pytest.fixture(scope="session")
def shared_videos() -> Path:
    return _folder("AQAKIT_VIDEOS", SHARED / "videos")


@pytest.fixture(scope="session")
def shared_weights() -> Path:
    return _folder("AQAKIT_WEIGHTS", SHARED / "weights")


@pytest.fixture(scope="session", autouse=True)
def _less_of_everything():
    """Two members instead of five, cross-fitted in the same way, and a tenth of the resamples of a benchmark."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(members, "MEMBERS", 2)
        patch.setattr(comparison, "DRAWS", comparison.DRAWS // 10)
        yield


@pytest.fixture(scope="session", autouse=True)
def _large_layers_repeat_their_weights():
    """Random weights of large layers repeat a block: 78 million normal numbers take longer than the test of them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("kaiming_uniform_", "kaiming_normal_"):
            patch.setattr(torch.nn.init, name, _repeating(getattr(torch.nn.init, name)))
        yield


def _repeating(initialise: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    def repeated(tensor: torch.Tensor, *args: Any, **options: Any) -> torch.Tensor:
        if tensor.numel() < 10 * _BLOCK or options.get("mode", "fan_in") != "fan_in":
            return initialise(tensor, *args, **options)
        rows = -(-_BLOCK // tensor[0].numel())  # a weight of as many inputs
        block = initialise(tensor.new_empty(rows, *tensor.shape[1:]), *args, **options).flatten()[:_BLOCK]
        with torch.no_grad():
            tensor.view(-1)[:] = block.repeat(-(-tensor.numel() // _BLOCK))[: tensor.numel()]
        return tensor

    return repeated


@pytest.fixture(autouse=True)
def _one_thread_and_one_seed() -> None:
    torch.set_num_threads(1)
    torch.default_generator.manual_seed(0)  # torch.manual_seed writes down the stack for each absent accelerator
