"""The quality of published slates, as it happens: for Prometheus and the ``metrics`` topic."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import NamedTuple

from divrec.config import Config
from divrec.engine import Engine
from divrec.events import ListQuality, Quality
from divrec.metrics.live import Figures, LiveQuality
from streams.codec import Record, encode, now_ms
from streams.health import metrics
from streams.health.metrics import Sample
from streams.lists import list_quality
from streams.topics import Topics

PUBLISH_S = 10.0
"""Between two records, if there were tests in between; and between two looks at the latest lists."""


class Shown(NamedTuple):
    user_id: str
    items: list[str]
    popular: tuple[str, ...]


class Turned(NamedTuple):
    """A user turned to an item that they had not had, where that matters."""

    user_id: str
    item_id: str
    hidden: Callable[[str], bool]
    """Whether an item would not have been shown to them before."""


class SlateQuality:
    """What the slates of this worker were worth to their users."""

    def __init__(self, config: Config, engine: Engine) -> None:
        self._config, self._engine = config, engine
        self._topic = Topics(config).metrics
        self._worker = f"{socket.gethostname()}:{os.getpid()}"
        self._live = LiveQuality(config.slate.k)
        self._tests = self._published = 0
        self._ranked: object = None
        self._popular: tuple[str, ...] = ()
        self._lists = 0
        self._slates = self._popularity = ListQuality()

    def popular(self) -> tuple[str, ...]:
        """The ids of the most popular items, the same tuple until they change."""
        if (ranked := self._engine.model.popular()) is not self._ranked:
            ids = self._engine.items.ids
            self._ranked, self._popular = ranked, tuple(ids[row] or "" for row in ranked.tolist())
        return self._popular

    def note(self, told: Iterable[Shown | Turned]) -> None:
        """Take what a durable batch did, in its order."""
        for one in told:
            if isinstance(one, Shown):
                self._live.shown(*one)
            else:
                self._tests += self._live.turned_to(*one)

    def samples(self) -> Iterator[Sample]:
        """As gauges; none before the first test."""
        yield metrics.STATE_SIZE, ("waiting_slates",), len(self._live)
        yield metrics.STATE_BOUND, ("waiting_slates",), self._live.users
        tests, slates, popularity = self._live.figures()
        yield metrics.QUALITY_TESTS, (), tests
        for name, accuracy in (("slates", slates), ("popularity", popularity)) if tests else ():
            yield metrics.QUALITY, (name, "hr"), accuracy.hr
            yield metrics.QUALITY, (name, "ndcg"), accuracy.ndcg

        yield metrics.QUALITY_LISTS, (), self._lists
        for name, quality in (("slates", self._slates), ("popularity", self._popularity)):
            for measure in quality.__struct_fields__:
                if (value := getattr(quality, measure)) is not None:
                    yield metrics.LIST_QUALITY, (name, measure), value

    def look(self) -> None:
        """Take the figures of the latest lists anew."""
        lists = list(self._live.lists)
        if not lists:
            return
        slates, before = zip(*lists, strict=True)
        self._lists = len(lists)
        self._slates = list_quality(self._config, self._engine, slates, before)
        self._popularity = list_quality(self._config, self._engine, [self.popular()])

    async def publish(self, send: Callable[[list[Record]], Awaitable[None]]) -> None:
        """Give a record to ``send`` every ``PUBLISH_S`` seconds, until cancelled."""
        while True:
            await asyncio.sleep(PUBLISH_S)
            self.look()
            if self._tests > self._published:
                self._published = self._tests
                await send([Record(self._topic, 0, None, encode(self._event(self._live.figures())))])

    def _event(self, figures: Figures) -> Quality:
        return Quality(
            generation=self._config.generation,
            worker=self._worker,
            ts=now_ms(),
            k=self._live.k,
            tests=figures.tests,
            hr=figures.slates.hr,
            ndcg=figures.slates.ndcg,
            popularity_hr=figures.popularity.hr,
            popularity_ndcg=figures.popularity.ndcg,
            lists=self._lists,
            slates=self._slates,
            popularity=self._popularity,
        )
