"""Fixtures that several tests share."""

import os
from pathlib import Path

import pytest
import torch

from aqakit.metrics import comparison
from aqakit.training import members

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


@pytest.fixture(autouse=True)
def _one_thread_and_one_seed() -> None:
    torch.set_num_threads(1)
    torch.default_generator.manual_seed(0)  # torch.manual_seed writes down the stack for each absent accelerator
