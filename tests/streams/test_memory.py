"""Large blocks leave the process when they are freed."""

import ctypes
import subprocess
import sys

import pytest

SCRIPT = """
import numpy as np
from benchmarks.soak import resident
from streams.memory import return_large_blocks

return_large_blocks()
for size in (30 << 20, 4 << 20):
    np.ones(size, np.uint8)  # frees one of 30 MiB: left to itself glibc now keeps the smaller ones
before = resident()
held = [np.ones(4 << 20, np.uint8) for _ in range(8)]
del held[:-1]
print(resident() - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library has no mallopt: nothing to set")
def test_freed_copies_leave_no_gap_behind() -> None:
    found = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert int(found.stdout) < 6 << 20  # the one that is held, and no more
