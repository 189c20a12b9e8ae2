"""The demo from start to end."""

import asyncio
import logging
import time
import uuid
from collections import Counter
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aiokafka import AIOKafkaProducer
from rich.console import Console
from rich.logging import RichHandler

from divrec.config import Config
from divrec.errors import DivrecError
from divrec.events import Click, Recommendation, Request
from streams.codec import send_all
from streams.demo.drive import Drive, Stalled, answer
from streams.demo.excerpt import RATING_MIN, Excerpt, latest
from streams.demo.measure import Measures
from streams.demo.screen import Screen
from streams.kafka.reading import Reader, reading
from streams.kafka.sending import Inputs
from streams.kafka.wiring import make_producer
from streams.local.stack import LocalStack
from streams.topics import Topics

LATEST = 9_000
"""Events of the log that are replayed. BERT reads the films that they mention in a quarter of a minute; before them
comes a user with 1,700 ratings in a row, each of which would wait for the recommendation of the last."""
ENCODED_WITHIN_S = 75.0
"""After this long the replay begins although films are still being read."""
ANSWER_S = 20.0
CHUNK = 500
LIST_OF = 30
"""Events that the user whose list is shown has at least, if one has."""


def run_demo(directory: Path | None, *, keep: bool = False, latest: int = LATEST) -> int:
    """Run it; 0, or 1 if no recommendation came or a worker could not be kept alive."""
    console = Console()
    quiet = RichHandler(logging.WARNING, console, show_path=False)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[quiet], force=True)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what it cannot do is seen in what follows
    began = time.monotonic()
    with ExitStack() as leaving:
        home = directory or Path(leaving.enter_context(TemporaryDirectory(prefix="divrec-demo-")))
        return _Demo(console, home, latest, began).run(keep)


class _Demo:
    def __init__(self, console: Console, home: Path, count: int, began: float) -> None:
        self._excerpt: Excerpt = latest(count)
        self._screen = Screen(console, self._excerpt.titles)
        self._measures = Measures()
        self._now = self._excerpt.events[-1].ts
        """The like happens when the log ends: by today's clock nothing of it would be popular now."""
        self._began = began
        # What stands in the user's own configuration is not for this stack.
        settings: dict[str, Any] = {"feedback": {"rating_min": RATING_MIN}}
        self._stack = LocalStack(home, settings=settings)

    def run(self, keep: bool) -> int:
        excerpt, screen, stack = self._excerpt, self._screen, self._stack
        screen.say(
            f"MovieLens ml-latest-small, its latest {len(excerpt.events):,} events by time: {excerpt.clicks:,} ratings "
            f"as clicks and {excerpt.reviews:,} tags as reviews, of {excerpt.users} users; the {len(excerpt.items):,} "
            f"films they mention as items. Learning begins with the first of them. Stack: {stack.directory}"
        )
        try:
            with ExitStack() as leaving:
                with screen.waiting("starting broker, Valkey, ingest, encode, recommend (BERT is unpacked once) ..."):
                    leaving.enter_context(stack)
                asyncio.run(self._stream(stack.config))
                screen.summary(self._measures, self._drive.unanswered, time.monotonic() - self._began)
                if keep:
                    screen.say(f"\nthe stack goes on until Ctrl-C: export DIVREC_CONFIG={stack.config_file}")
                    stack.wait()
        except Exception as error:
            failed = self._failed() or error  # what ended the stack says more than what came of it
            if not isinstance(failed, DivrecError):
                raise
            screen.say(f"divrec: {failed}")
            if isinstance(failed, Stalled):
                self._show_logs()
            return 1
        return 0 if self._measures.received.total else 1

    async def _stream(self, config: Config) -> None:
        topics = Topics(config)
        async with AsyncExitStack() as leaving:
            reader = await leaving.enter_async_context(reading(config, topics.recommendations, "end"))
            producer = make_producer(config)
            await producer.start()
            leaving.push_async_callback(producer.stop)
            inputs = Inputs(config)
            await self._items(config, producer, inputs)
            self._drive = drive = Drive(producer, reader, inputs, self._excerpt, self._measures)
            self._screen.say(
                "users act side by side; a user's next click waits for the recommendation that their last one makes"
            )
            with self._screen:
                self._screen.phase("events", len(self._excerpt.events))
                await drive.run(self._turn)
            await self._like(producer, reader, inputs)

    def _failed(self) -> DivrecError | None:
        try:
            self._stack.check()
        except DivrecError as error:
            return error
        return None

    def _turn(self) -> None:
        self._stack.check()
        self._screen.advance(self._measures.sent.total, self._measures, self._drive.latest)

    async def _items(self, config: Config, producer: AIOKafkaProducer, inputs: Inputs) -> None:
        """Send the films, and wait until BERT has read them: the catalogue tells."""
        items = self._excerpt.items
        async with reading(config, Topics(config).catalog, "end") as catalog:
            with self._screen:
                self._screen.phase("films read by BERT", len(items))
                for first in range(0, len(items), CHUNK):
                    await send_all(producer, [inputs.record(item) for item in items[first : first + CHUNK]])
                read, deadline = 0, time.monotonic() + ENCODED_WITHIN_S
                while read < len(items) and time.monotonic() < deadline:
                    read += len(await catalog.read(0.2))
                    self._stack.check()
                    self._screen.advance(read)
        if read < len(items):
            self._screen.say(f"{len(items) - read:,} films are still being read: the replay begins meanwhile")

    async def _like(self, producer: AIOKafkaProducer, reader: Reader, inputs: Inputs) -> None:
        """One user's list, a real like of theirs, and their list again."""
        user = self._user()
        before = await self._asked(producer, reader, inputs, user)
        self._screen.slate(f"user {user}, before", before)
        if not before.items:
            return
        liked = before.items[-1].item_id
        click = Click(user_id=user, item_id=liked, action="like", ts=self._now, event_id=f"demo-{uuid.uuid4().hex}")
        await send_all(producer, [inputs.record(click)])
        await answer(reader, lambda slate: slate.trigger.event_id == click.event_id, ANSWER_S)
        after = await self._asked(producer, reader, inputs, user)
        new = frozenset(item.item_id for item in after.items) - {item.item_id for item in before.items}
        title = self._excerpt.titles.get(liked, liked)
        self._screen.slate(f"after a like of {title}: {len(new)} of {len(after.items)} are new (green)", after, new)

    def _user(self) -> str:
        """The user of the latest event who has enough of them for a list to mean something."""
        events = self._excerpt.events
        count = Counter(event.user_id for event in events)
        return next((e.user_id for e in reversed(events) if count[e.user_id] >= LIST_OF), events[-1].user_id)

    async def _asked(self, producer: AIOKafkaProducer, reader: Reader, inputs: Inputs, user: str) -> Recommendation:
        request = Request(user_id=user, request_id=f"demo-{uuid.uuid4().hex}", ts=self._now)
        await send_all(producer, [inputs.record(request)])
        return await answer(reader, lambda slate: slate.trigger.request_id == request.request_id, ANSWER_S)

    def _show_logs(self) -> None:
        for name, process in self._stack.info().processes.items():
            lines = Path(process.log).read_text(errors="replace").splitlines()[-15:]
            self._screen.say("\n".join([f"--- the end of {name}'s log ({process.log})", *lines]))
