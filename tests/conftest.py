"""Fixtures that several tests share."""

import os
from pathlib import Path

import pytest
import torch

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


@pytest.fixture(autouse=True)
def _one_thread_and_one_seed() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
