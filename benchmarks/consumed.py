"""Consumed items over their bound: what share of the items never consumed is hidden, and what a check costs.

python benchmarks/consumed.py [--bound 16384]
"""

import argparse
import time

import numpy as np
from rich.console import Console
from rich.table import Table

from divrec.consumed import Consumed
from divrec.rules.filter import allowed

OTHERS = 1_000_000
CHECKED = 1_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bound", type=int, default=16_384)
    bound = parser.parse_args().bound
    prints = np.random.default_rng(0).integers(0, 2**32, OTHERS, np.uint32)
    rows, hidden, none = np.arange(OTHERS, dtype=np.int32), np.zeros(OTHERS, np.bool_), np.zeros(0, np.int32)
    table = Table("consumed", "of the bound", "bytes", "hidden of 1,000,000 others", f"µs to check {CHECKED:,}")
    consumed, taken = Consumed(), 0
    for times in (1, 1.5, 2, 4, 8):
        for _ in range(int(times * bound) - taken):
            consumed = consumed.added(f"item {taken}", bound)
            taken += 1
        parts = (consumed.words(), consumed.filtered, consumed.shift, none)
        share = 1 - allowed(rows, hidden, prints, *parts).mean()
        took = []
        for at in range(0, OTHERS, CHECKED):
            begin = time.perf_counter()
            allowed(rows[at : at + CHECKED], hidden, prints, *parts)
            took.append(time.perf_counter() - begin)
        micros = 1e6 * float(np.median(took))
        table.add_row(f"{taken:,}", f"{times} ×", f"{len(consumed.packed):,}", f"{share:.4%}", f"{micros:.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
