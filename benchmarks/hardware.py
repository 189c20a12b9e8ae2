"""The machine that figures come from."""

import os
import platform
from pathlib import Path


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def machine() -> str:
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} × {processor()}, Python {platform.python_version()}, load {load:.1f} at the start"
