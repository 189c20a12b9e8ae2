"""Runs one worker in this process, from waiting for the broker to leaving the group."""

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from divrec.config import Config
from divrec.errors import ConfigError, DivrecError, EncoderError, SnapshotError
from streams.health.gauges import of_worker
from streams.health.http import Health, serving
from streams.health.logs import start_logging
from streams.health.metrics import Metrics
from streams.health.ready import clear_ready, mark_ready
from streams.kafka.wiring import App, make_app, make_producer
from streams.leaving import (
    EXIT_CONFIG,
    EXIT_CRASHED,
    EXIT_ENCODER,
    EXIT_OK,
    EXIT_SNAPSHOT,
    EXIT_UNDRAINED,
    last_steps,
    leave,
)
from streams.topics import BrokerUnavailable, check_topics

log = logging.getLogger(__name__)

DRAIN_S = 8.0
"""A worker that was told to stop and has not left after this long ends as it is."""
_LONGEST_PAUSE_S = 15.0
_REMIND_S = 60.0


@dataclass(slots=True)
class Worker:
    """What the set-up of a worker gets: ``producer`` is started, ``app`` is not.

    ``metrics`` count what it does; ``health`` is told what it cannot do without. ``closers`` are awaited when the
    worker has left its group.
    """

    config: Config
    app: App
    producer: AIOKafkaProducer
    metrics: Metrics = field(default_factory=Metrics)
    health: Health = field(default_factory=Health)
    closers: list[Callable[[], Awaitable[None]]] = field(default_factory=list)


Setup = Callable[[Worker], Awaitable[None]]


def run_worker(config: Config, name: str, setup: Setup, on_ready: Callable[[], None] | None = None) -> int:
    """Run the worker ``name`` until SIGTERM or SIGINT; returns the exit code of the process.

    ``setup`` is called in the event loop when the broker answers and the topics are right, and before the consumer
    group is joined: it loads what the worker needs and registers its agents (``batches``). ``on_ready`` is called when
    the group is joined. A broker that does not answer is waited for. An unexpected error ends the process at once.
    """
    start_logging(config.log_level, config.log_format, name)
    not_ready = partial(clear_ready, config, name)
    last_steps.append(not_ready)
    try:
        return asyncio.run(_Run(config, name, setup, on_ready).main())
    except ConfigError as error:
        return _refused(error, EXIT_CONFIG)
    except EncoderError as error:
        return _refused(error, EXIT_ENCODER)
    except SnapshotError as error:
        return _refused(error, EXIT_SNAPSHOT)
    except DivrecError as error:
        return _refused(error, EXIT_CRASHED)
    except Exception as error:
        if isinstance(error, KafkaError):
            _broker_lost(error)
        log.critical("unexpected error: the worker ends", exc_info=True)
        return EXIT_CRASHED
    finally:
        last_steps.remove(not_ready)
        not_ready()


def _refused(error: DivrecError, code: int) -> int:
    log.critical("%s", error)
    return code


class _Run:
    def __init__(self, config: Config, name: str, setup: Setup, on_ready: Callable[[], None] | None) -> None:
        self._config = config
        self._name = name
        self._setup = setup
        self._on_ready = on_ready
        self._stop = asyncio.Event()
        self._stopping = False

    async def main(self) -> int:
        loop = asyncio.get_running_loop()

        def asked(number: int, _frame: Any) -> None:
            # A thread, because the event loop itself may be what does not end.
            if not self._stopping:
                self._stopping = True
                deadline = threading.Timer(DRAIN_S, _too_late)
                deadline.daemon = True
                deadline.start()
                log.info("%s: draining", signal.Signals(number).name)
            loop.call_soon_threadsafe(self._stop.set)

        before = {number: signal.signal(number, asked) for number in (signal.SIGTERM, signal.SIGINT)}
        work = asyncio.create_task(self._work())
        stop = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done() and not stop.done():  # pragma: no cover
                raise RuntimeError("neither done nor told to stop")
            if not work.done():
                work.cancel()
            try:
                await work
            except asyncio.CancelledError:
                if not self._stopping:
                    raise RuntimeError("the work was cancelled by nobody's wish") from None
            log.info("worker %s has left", self._name)
            return EXIT_OK
        finally:
            stop.cancel()
            for number, handler in before.items():
                signal.signal(number, handler)

    async def _work(self) -> None:
        metrics, health = Metrics(), Health()
        metrics.watch(lambda: of_worker(self._config, self._name))
        async with serving(self._config.worker, health, metrics):
            await self._checked()
            await self._take_part(metrics, health)

    async def _take_part(self, metrics: Metrics, health: Health) -> None:
        producer = make_producer(self._config)
        await producer.start()
        worker = Worker(self._config, make_app(self._config, self._name), producer, metrics, health)
        health.reached["broker"] = producer.client.force_metadata_update
        try:
            await self._setup(worker)
            await self._run(worker)
        finally:
            for closer in (producer.stop, *worker.closers)[::-1]:
                try:
                    await closer()
                except Exception:
                    log.exception("closing failed")

    async def _checked(self) -> None:
        """Wait until the broker answers; the topics must then be right."""
        pause, silent_until, waited = 0.5, 0.0, False
        while True:
            try:
                await check_topics(self._config)
            except BrokerUnavailable as error:
                now = asyncio.get_running_loop().time()
                if now >= silent_until:
                    log.warning("%s; waiting for it", error)
                    silent_until, waited = now + _REMIND_S, True
            else:
                if waited:
                    log.info("the broker answers")
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    async def _run(self, worker: Worker) -> None:
        """Join the group and work until this task is cancelled."""
        app = worker.app
        app.on_partitions_assigned.connect(_say_assignment)
        starting = asyncio.create_task(app.start())
        try:
            await asyncio.wait({starting, crash := asyncio.create_task(_crashed(app))}, return_when="FIRST_COMPLETED")
            if starting.done():
                starting.result()
                worker.health.joined = True
                mark_ready(self._config, self._name, os.getpid())
                log.info("worker %s is ready", self._name)
                if self._on_ready is not None:
                    self._on_ready()
            await crash
        except KafkaError as error:  # Faust cannot be stopped in the middle of its start
            _broker_lost(error)
            raise
        finally:
            # Only the signal comes here: a crash has ended the process.
            worker.health.joined = False
            await app.stop()
            starting.cancel()
            crash.cancel()


async def _crashed(app: App) -> None:
    """End the process when a service of Faust failed: what it would do in place of it is not known to be safe."""
    while app.crash_reason is None:
        await asyncio.sleep(0.1)
    reason = app.crash_reason
    kind = type(reason).__name__
    log.critical("Faust failed (%s): the worker ends, nothing is acknowledged", kind, exc_info=reason)
    leave(EXIT_CRASHED)


def _broker_lost(error: KafkaError) -> None:
    """End the process if Kafka went away between the check and the joining of the group."""
    if error.retriable:
        log.critical("Kafka went away while the worker started (%s): it ends, start it again", type(error).__name__)
        leave(EXIT_CRASHED)


def _too_late() -> None:
    log.error("not drained within %g s: the worker ends, what it holds will be repeated", DRAIN_S)
    leave(EXIT_UNDRAINED)


async def _say_assignment(_app: App, assigned: set[Any], **_: Any) -> None:
    if not assigned:
        log.warning("no partition is left for this worker: there are more workers than partitions; it waits as a spare")
        return
    by_topic: dict[str, list[int]] = {}
    for tp in sorted(assigned):
        by_topic.setdefault(tp.topic, []).append(tp.partition)
    log.info("assigned: %s", "; ".join(f"{topic} {partitions}" for topic, partitions in by_topic.items()))
