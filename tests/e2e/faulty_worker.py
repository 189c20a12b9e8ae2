"""A worker with faults built in: what goes wrong, and where, is told by ``Faults``.

``run`` of this module takes the place of a worker module's own.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any

import msgspec
import numpy as np

from divrec.config import Config
from divrec.engine import Engine
from tests.text.counting_encoder import CountingEncoder

POISON = "poison"
"""An item whose events make ``observe`` raise."""
ENCODER = "counting"
"""The text model of a faulty encode worker: vectors from hashes."""

STEPS = ("loaded", "observed", "half-sent", "deltas-sent", "sent", "saved", "acknowledged", "reread", "snapshot")
"""What a worker has just done when the fault comes; ``snapshot``: it is in the middle of writing one."""


class Faults(msgspec.Struct, frozen=True):
    step: str | None = None
    """One of STEPS, None for no fault but the poisonous item."""
    count: int = 1
    """The fault comes when the step is reached for this many times."""
    signal: int = signal.SIGKILL
    """SIGKILL, or SIGSTOP: the worker freezes there and goes on from there when it is continued."""
    session_s: float | None = None
    """Session timeout, shorter than the configuration allows, so that a death is noticed sooner."""
    digest_every: int = 50
    """Model-log offsets between two logged digests."""


def run(module: str, values: str, faults: Faults) -> None:
    """Run the worker of ``module`` with the configuration in ``values`` (JSON)."""
    _break(faults)
    config = Config(**json.loads(values))
    if faults.session_s is not None:
        kafka = config.kafka.model_copy(update={"session_timeout_s": faults.session_s})
        config = config.model_copy(update={"kafka": kafka})
    sys.exit(import_module(module).run(config))


class _Fault:
    def __init__(self, faults: Faults) -> None:
        self.step, self._left, self._signal = faults.step, faults.count, faults.signal
        self.reading_again = False

    def reached(self, step: str) -> None:
        """Strikes if this is the place and the time."""
        if step == self.step:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), self._signal)

    def about_to(self, step: str) -> bool:
        return step == self.step and self._left == 1


def _break(faults: Faults) -> None:
    from streams import encode, recommend, replica
    from streams.computation import Computation

    fault = _Fault(faults)
    replica.DIGEST_EVERY = faults.digest_every
    encode.load_encoder = lambda _: CountingEncoder(ENCODER)  # type: ignore[assignment,return-value]

    observe = Engine.observe

    def poisoned(self: Engine, profile: Any, event: Any, *rest: Any, **options: Any) -> Any:
        if getattr(event, "item_id", None) == POISON:
            raise ZeroDivisionError("a bug in observe")
        return observe(self, profile, event, *rest, **options)

    Engine.observe = poisoned  # type: ignore[method-assign]
    worker = recommend.Recommend
    worker._loaded = _then(worker._loaded, lambda: fault.reached("loaded"))  # type: ignore[method-assign]
    worker._save = _then(worker._save, lambda: fault.reached("saved"))  # type: ignore[method-assign]
    worker._written = _then(worker._written, lambda: fault.reached("acknowledged"))  # type: ignore[method-assign]
    Computation.outcome = _then(Computation.outcome, lambda: fault.reached("observed"))  # type: ignore[method-assign]

    compute = worker._computed_at_once

    async def computed(self: Any, messages: Any, *, publish: bool, mend: bool = False) -> Any:
        fault.reading_again = not publish
        return await compute(self, messages, publish=publish, mend=mend)

    worker._computed_at_once = computed  # type: ignore[method-assign]
    worker._effected = _then(  # type: ignore[method-assign]
        worker._effected, lambda: fault.reading_again and fault.reached("reread")
    )

    send_all = recommend.send_all

    async def sent(producer: Any, records: Any) -> None:
        records = list(records)
        deltas = [record for record in records if "model-log" in record.topic]
        if fault.about_to("half-sent"):
            await send_all(producer, records[: len(records) // 2])
            await asyncio.sleep(1.5)  # whatever was acknowledged too early is committed by now
        elif fault.about_to("deltas-sent"):
            await send_all(producer, deltas)
        for step in ("half-sent", "deltas-sent"):
            fault.reached(step)
        await send_all(producer, records)
        fault.reached("sent")

    recommend.send_all = sent

    save = np.save

    def saved(file: Any, array: Any, **named: Any) -> None:
        save(file, array, **named)
        fault.reached("snapshot")

    np.save = saved


def _then(method: Callable[..., Awaitable[Any]], after: Callable[[], object]) -> Any:
    async def both(*arguments: Any, **named: Any) -> Any:
        result = await method(*arguments, **named)
        after()
        return result

    return both
