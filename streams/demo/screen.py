"""What the demo shows: a live display in a terminal, a plain line every few seconds elsewhere."""

import time
from contextlib import AbstractContextManager, nullcontext
from math import inf
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from divrec.events import Recommendation
from divrec.explain.words import Titles, in_words
from streams.client.wording import slate_table
from streams.demo.excerpt import GOOD
from streams.demo.measure import SLATE, Measures

PLAIN_EVERY_S = 3.0
FIGURES_EVERY_S = 0.25
RECENT = 1_000
"""Delays that the live figures are taken from."""
_SHOWN = 5


def _figures(measures: Measures, delays: tuple[float, float] | None, events: float, slates: float) -> dict[str, str]:
    return {
        "events/s": f"{events:,.0f}",
        "recommendations/s": f"{slates:,.0f}",
        "delay p50 / p99": "-" if delays is None else f"{delays[0]:.0f} / {delays[1]:.0f} ms",
        f"hit rate @{SLATE}": f"{measures.hit_rate:.1%}" if measures.tests else "-",
        "popularity's": f"{measures.popular_hit_rate:.1%}" if measures.tests else "-",
    }


class Screen:
    """One run on ``console``. A phase (``phase``, then ``advance`` until the next) has a progress bar."""

    def __init__(self, console: Console, titles: Titles) -> None:
        self.console = console
        self._titles = titles
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
        )
        self._live = Live(self._progress, console=console, refresh_per_second=8) if console.is_terminal else None
        self._task: TaskID | None = None
        self._name = ""
        self._total = 0
        self._next = 0.0

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def say(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=not self.console.is_terminal)

    def waiting(self, text: str) -> AbstractContextManager[object]:
        """While something of unknown length happens."""
        if self.console.is_terminal:
            return self.console.status(text)
        self.say(text)
        return nullcontext()

    def phase(self, name: str, total: int) -> None:
        self._name, self._total, self._next = name, total, 0.0
        self._task = self._progress.add_task(name, total=total)

    def advance(self, done: int, measures: Measures | None = None, latest: Recommendation | None = None) -> None:
        """The phase has come to ``done``."""
        if self._task is not None:
            self._progress.update(self._task, completed=done)
        now, ended = time.monotonic(), done >= self._total
        if now < self._next and not (ended and self._next != inf):
            return
        self._next = inf if ended else now + (FIGURES_EVERY_S if self._live else PLAIN_EVERY_S)
        figures = {}
        if measures is not None:
            figures = _figures(measures, measures.delays(RECENT), measures.sent.now(), measures.received.now())
        if self._live is None:
            told = "".join(f", {name} {value}" for name, value in figures.items())
            self.say(f"{self._name}: {done:,} of {self._total:,}{told}")
        elif figures:
            self._live.update(Group(self._progress, "", _row(figures), "", self._sample(latest)))

    def _sample(self, slate: Recommendation | None) -> Table:
        table = Table.grid(padding=(0, 2))
        if slate is not None:
            table.add_row("", f"[dim]the latest slate: user {escape(slate.user_id)}[/]", "")
            for item in slate.items[:_SHOWN]:
                why = "; ".join(in_words(reason, self._titles) for reason in item.reasons[:2])
                title = self._titles.get(item.item_id, item.item_id)
                table.add_row(f"{item.position}", escape(title), f"[dim]{escape(why)}[/]")
        return table

    def slate(self, caption: str, slate: Recommendation, new: frozenset[str] | None = None) -> None:
        self.console.print()
        self.console.print(caption, style="bold", markup=False, highlight=False)
        self.console.print(slate_table(slate.items, self._titles, new=new, reasons=2))

    def summary(self, measures: Measures, unanswered: int, seconds: float) -> None:
        """The last table."""
        figures = _figures(measures, measures.delays(), measures.sent.mean(), measures.received.mean())
        table = Table(title="the whole replay", title_justify="left", box=None, show_header=False, pad_edge=False)
        table.add_column(justify="left")
        table.add_column(justify="right")
        table.add_column(style="dim", ratio=1)
        told = {
            "events/s": "clicks and tags sent by this process",
            "recommendations/s": "received by it",
            "delay p50 / p99": "from the click's time in its topic to the arrival of its recommendation",
            f"hit rate @{SLATE}": f"of {measures.tests:,} films rated {GOOD:g} or better: in the user's latest list "
            "received before",
            "popularity's": f"the same films: among the {SLATE} most rated ones that the user had not rated",
        }
        table.add_row("events", f"{measures.sent.total:,}", "")
        table.add_row("recommendations", f"{measures.received.total:,}", "")
        if unanswered:
            table.add_row("without one", f"{unanswered:,}", "events whose recommendation did not come in time")
        for name, value in figures.items():
            table.add_row(name, value, told[name])
        table.add_row("duration", f"{seconds:.0f} s", "from the start of the stack to here")
        self.console.print()
        self.console.print(table)


def _row(figures: dict[str, str]) -> Table:
    table = Table(*figures, box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_row(*figures.values())
    return table
