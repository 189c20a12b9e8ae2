"""A Request sent, and the Recommendation that answers it, as an application would."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from aiokafka import AIOKafkaProducer

from divrec.config import Config
from divrec.errors import DivrecError
from divrec.events import Recommendation, Request
from streams.codec import decode_recommendation, send_all
from streams.kafka.reading import reading
from streams.kafka.sending import Inputs
from streams.kafka.wiring import make_producer
from streams.topics import Topics, check_topics


class NoAnswer(DivrecError):
    """No recommendation came in time."""


async def ask(config: Config, request: Request, timeout_s: float) -> Recommendation:
    """The answer to ``request``, which gets a ``request_id`` of its own. Raises ConfigError, NoAnswer."""
    inputs = Inputs(config, ("requests",))
    asked = msgspec.structs.replace(request, request_id=request.request_id or f"ask-{uuid.uuid4().hex}")
    await check_topics(config)
    async with reading(config, Topics(config).recommendations, "end") as answers, _producing(config) as producer:
        deadline = time.monotonic() + timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                await send_all(producer, [inputs.record(asked)])
        except TimeoutError:
            raise NoAnswer(f"Kafka: expected it to take the request within {timeout_s:g} s") from None
        while (left := deadline - time.monotonic()) > 0:
            for message in await answers.read(min(left, 0.5)):
                answer = decode_recommendation(message.value or b"")
                if answer.trigger.request_id == asked.request_id:
                    return answer
    raise NoAnswer(
        f"expected an answer within {timeout_s:g} s, got none: do the ingest and recommend workers run and keep up?"
    )


@asynccontextmanager
async def _producing(config: Config) -> AsyncIterator[AIOKafkaProducer]:
    producer = make_producer(config)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()
