"""What a worker says about itself over HTTP: ``/live``, ``/ready`` and ``/metrics``.

It is served by the event loop that does the work. A loop that is blocked cannot answer, and that is the point: no
answer within the prober's time limit is how a blocked loop shows. Answers hold no addresses and nothing of events.
"""

import asyncio
import errno
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

from aiohttp import web
from prometheus_client.exposition import choose_encoder

from divrec.config import WorkerConfig
from divrec.errors import ConfigError, DivrecError
from streams.health.metrics import Metrics

STALLED_S = 30.0
"""Following the model log takes a turn at least once a second, whether there is anything to follow or not."""
ANSWER_S = 2.0
"""Store and broker answer ``/ready`` within this time."""
LATELY_S = 5.0
"""An answer of theirs holds for so long."""

Ask = Callable[[], Awaitable[object]]


class PortTaken(DivrecError):
    """Another process listens where this worker shall."""


class Health:
    """What ``/live`` and ``/ready`` look at.

    ``joined``: the worker takes part in its consumer group. ``turns``: when something last took its turn that must do
    so again and again, by name (seconds, monotonic). ``reached``: asks what the worker cannot do without; raises, or
    gives False, if that does not answer.
    """

    def __init__(self) -> None:
        self.joined = False
        self.turns: dict[str, Callable[[], float]] = {}
        self.reached: dict[str, Ask] = {}
        self._found: dict[str, tuple[float, str]] = {}

    def stalled(self) -> list[str]:
        """Why the worker should be started again: nothing, if it lives."""
        now = time.monotonic()
        late = {name: now - turn() for name, turn in self.turns.items()}
        return [f"{name}: no turn for {seconds:.0f} s" for name, seconds in late.items() if seconds > STALLED_S]

    async def lacking(self) -> list[str]:
        """What is missing for the worker to do its work."""
        found = await asyncio.gather(*(self._answer(name, ask) for name, ask in self.reached.items()))
        joined = [] if self.joined else ["not a member of its consumer group: starting, catching up or leaving"]
        return [*joined, *filter(None, found)]

    async def _answer(self, name: str, ask: Ask) -> str:
        now = time.monotonic()
        at, problem = self._found.get(name, (-LATELY_S, ""))
        if now - at < LATELY_S:
            return problem
        try:
            problem = f"{name}: no answer" if await asyncio.wait_for(ask(), ANSWER_S) is False else ""
        except TimeoutError:
            problem = f"{name}: no answer within {ANSWER_S:g} s"
        except Exception as error:
            problem = f"{name}: no answer ({type(error).__name__})"
        self._found[name] = now, problem
        return problem


@asynccontextmanager
async def serving(config: WorkerConfig, health: Health, metrics: Metrics) -> AsyncIterator[None]:
    """Serve inside the block, if a port is configured. Raises PortTaken or ConfigError."""
    if config.http_port is None:
        yield
        return
    site = web.Application()
    site.router.add_get("/live", partial(_live, health))
    site.router.add_get("/ready", partial(_ready, health))
    site.router.add_get("/metrics", partial(_metrics, metrics))
    runner = web.AppRunner(site, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, config.http_host, config.http_port).start()
        except OSError as error:
            told = (
                f"worker.http_port: expected to listen at {config.http_host}:{config.http_port}, got {error.strerror}"
            )
            if error.errno == errno.EADDRINUSE:
                raise PortTaken(f"{told}: give each worker of a machine a port of its own") from None
            raise ConfigError(f"{told}: correct worker.http_host or worker.http_port") from None
        yield
    finally:
        await runner.cleanup()


async def _live(health: Health, _: web.Request) -> web.Response:
    return _told(health.stalled())


async def _ready(health: Health, _: web.Request) -> web.Response:
    return _told([*health.stalled(), *await health.lacking()])


def _told(problems: list[str]) -> web.Response:
    return web.json_response({"ok": not problems, "problems": problems}, status=503 if problems else 200)


async def _metrics(metrics: Metrics, request: web.Request) -> web.Response:
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return web.Response(body=encode(metrics.registry), headers={"Content-Type": content_type})
