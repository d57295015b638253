"""Memory that is freed and needed again is not asked of the system anew."""

import resource
import sys

import numpy as np
import pytest

from aqakit.system.allocator import keep_freed_memory
from tests import forks


def faults():
    """Pages that the system had to clear for 20 blocks of 32 MiB, each freed before the next."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        np.ones(2**22)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a setting of the GNU C library")
def test_pages_are_cleared_once():
    def work():
        plain = faults()
        assert keep_freed_memory()
        assert faults() < plain / 5

    assert forks.wait(forks.fork(work)) == 0


def test_elsewhere_nothing_happens(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not keep_freed_memory()
