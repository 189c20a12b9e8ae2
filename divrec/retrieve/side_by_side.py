"""Compiled work on the asks of a batch, in several threads: none of them holds the interpreter meanwhile."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

from divrec.config import ModelConfig
from divrec.items import ItemIndex
from divrec.retrieve.candidates import Candidates, CandidateSpace

PART = 16
"""Asks that a thread gets at least: with fewer the way to it takes longer than the work."""


class SideBySide:
    """Up to ``threads`` parts of a batch at once, each with its own space for candidates."""

    def __init__(self, items: ItemIndex, config: ModelConfig, threads: int) -> None:
        self.spaces = [CandidateSpace(items, config) for _ in range(threads)]
        self._pool: ThreadPoolExecutor | None = None
        """Made when it is first needed: an engine without one can be copied and pickled."""

    def run(self, work: Callable[[Candidates, int, int], None], count: int) -> None:
        """``work(space, begin, end)`` for parts that make up ``range(count)``, the first of them in this thread."""
        parts = min(len(self.spaces), max(1, count // PART))
        if parts == 1:
            work(self.spaces[0].space, 0, count)
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(len(self.spaces) - 1, "slates")
        bounds = [count * n // parts for n in range(parts + 1)]
        others = [self._pool.submit(work, self.spaces[n].space, bounds[n], bounds[n + 1]) for n in range(1, parts)]
        try:
            work(self.spaces[0].space, bounds[0], bounds[1])
        finally:
            wait(others)
        for other in others:
            other.result()
