"""Memory that is freed and needed again is not asked of the system anew."""

import subprocess
import sys

import pytest

from aqakit.system.allocator import keep_freed_memory

FAULTS = """
import resource
import sys
import numpy as np
from aqakit.system.allocator import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        np.ones(2**22)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(faults(), keep_freed_memory(*map(int, sys.argv[1:])), faults())
"""
"""Counts the pages that the system clears for 20 blocks of 32 MiB, each freed before the next."""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a setting of the GNU C library")
def test_pages_are_cleared_once():
    """In an interpreter of its own: a thread that is not the first has memory of another kind."""
    found = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    plain, done, kept = found.stdout.split()
    assert done == "True"
    if int(plain) < 20 * 2**22 * 8 / 2**16:
        pytest.skip("the system clears huge pages here, of which there are few")
    assert int(kept) < int(plain) / 5


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a setting of the GNU C library")
def test_blocks_above_the_largest_are_handed_back():
    found = subprocess.run([sys.executable, "-c", FAULTS, str(2**22)], capture_output=True, text=True, check=True)
    plain, _, kept = found.stdout.split()
    assert int(kept) > int(plain) / 2


def test_elsewhere_nothing_happens(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not keep_freed_memory()
