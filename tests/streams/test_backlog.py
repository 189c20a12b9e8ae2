import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from divrec.errors import EncoderError
from streams.codec import Message, Record
from streams.encoding.backlog import CHUNK_CHARACTERS, CHUNK_TEXTS, Backlog, Vector, Work


class Letters:
    """An encoder whose vector of a text is its length; it waits for ``gate`` and refuses texts with ``poison``."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.known: dict[str, Vector] = {}
        self.calls: list[list[str]] = []
        self.broken = False

    def encode(self, texts: Sequence[str]) -> Vector:
        assert self.gate.wait(10)
        self.calls.append(list(texts))
        if self.broken or any("poison" in text for text in texts):
            raise EncoderError("refused")
        vectors = np.array([[len(text)] for text in texts], np.float32)
        self.known.update(zip(texts, vectors, strict=True))
        return vectors

    def lookup(self, texts: Sequence[str]) -> list[Vector | None]:
        return [self.known.get(text) for text in texts]


class Bench:
    """A backlog with its run; ``out`` holds what was sent, ``acked`` the offsets that are done."""

    def __init__(self, limit: int = 1_000) -> None:
        self.encoder = Letters()
        self.out: list[tuple[str, int, float | None]] = []
        self.acked: list[int] = []
        self.sending = asyncio.Event()
        self.sending.set()
        self.threads = [ThreadPoolExecutor(1), ThreadPoolExecutor(1)]
        self.backlog = Backlog(self.encoder, self.send, self.done, limit, *self.threads)
        self.running = asyncio.create_task(self.backlog.run())

    async def send(self, records: list[Record]) -> None:
        await self.sending.wait()
        for record in records:
            assert record.key is not None
            value = None if record.value is None else float(record.value)
            self.out.append((record.key.decode(), record.partition or 0, value))

    def done(self, messages: Sequence[Message]) -> None:
        self.acked += [message.offset for message in messages]

    async def add(self, *works: tuple[str | None, int, str | None], topic: str = "in") -> None:
        await self.backlog.add(topic, [work(*one, topic) for one in works])

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                if self.running.done():
                    self.running.result()
                await asyncio.sleep(0.001)


def work(key: str | None, number: int, text: str | None, topic: str = "in") -> Work:
    def records(vector: Vector | None) -> list[Record]:
        value = None if vector is None else str(float(vector[0])).encode()
        return [Record("out", number, (key or "").encode(), value)]

    def refused(_: Exception) -> list[Record]:
        return [Record("dead", number, b"dead", None)]

    return Work(Message(topic, 0, number, 1), key, text, records, refused)


def on_bench(scenario: Callable[[Bench], Any], **about: Any) -> None:
    async def run() -> None:
        bench = Bench(**about)
        try:
            await scenario(bench)
        finally:
            bench.encoder.gate.set()
            bench.running.cancel()
            for thread in bench.threads:
                thread.shutdown()

    asyncio.run(run())


def test_what_needs_no_model_does_not_wait_for_it() -> None:
    async def scenario(bench: Bench) -> None:
        bench.encoder.known["seen before"] = np.array([11], np.float32)
        bench.encoder.gate.clear()
        await bench.add(("a", 1, "new text"), ("b", 2, None), ("c", 3, "seen before"), (None, 4, None))
        assert bench.out == [("b", 2, None), ("c", 3, 11), ("", 4, None)]
        assert bench.acked == [2, 3, 4]
        bench.encoder.gate.set()
        await bench.until(lambda: 1 in bench.acked)
        assert bench.out[-1] == ("a", 1, 8)

    on_bench(scenario)


def test_a_withdrawal_waits_for_the_earlier_text_of_its_item() -> None:
    async def scenario(bench: Bench) -> None:
        bench.encoder.gate.clear()
        await bench.add(("a", 1, "text"), ("a", 2, None))
        await bench.add(("a", 3, None), ("b", 4, None))
        assert bench.out == [("b", 4, None)]
        bench.encoder.gate.set()
        await bench.until(lambda: len(bench.acked) == 4)
        assert bench.out[1:] == [("a", 1, 4), ("a", 2, None), ("a", 3, None)]
        await bench.add(("a", 5, None))
        assert bench.out[-1] == ("a", 5, None)

    on_bench(scenario)


def test_a_text_that_waits_does_not_overtake_what_is_being_sent() -> None:
    async def scenario(bench: Bench) -> None:
        bench.sending.clear()
        adding = asyncio.create_task(bench.add(("a", 1, None), ("a", 2, "text")))
        await asyncio.sleep(0.05)
        assert bench.encoder.calls == []
        bench.sending.set()
        await adding
        await bench.until(lambda: len(bench.acked) == 2)
        assert bench.out == [("a", 1, None), ("a", 2, 4)]

    on_bench(scenario)


def test_only_the_poisoned_text_is_refused() -> None:
    async def scenario(bench: Bench) -> None:
        bench.encoder.gate.clear()
        await bench.add(("a", 1, "one"), ("b", 2, "poison"), ("c", 3, "three"))
        bench.encoder.gate.set()
        await bench.until(lambda: len(bench.acked) == 3)
        assert bench.out == [("a", 1, 3), ("dead", 2, None), ("c", 3, 5)]

    on_bench(scenario)


def test_a_model_that_refuses_everything_ends_the_run() -> None:
    async def scenario(bench: Bench) -> None:
        bench.encoder.broken = True
        await bench.add(("a", 1, "one"), ("b", 2, "two"))
        with pytest.raises(EncoderError):
            await bench.until(lambda: bool(bench.acked))
        assert bench.out == []

    on_bench(scenario)


def test_intake_pauses_when_the_line_is_full() -> None:
    async def scenario(bench: Bench) -> None:
        bench.encoder.gate.clear()
        await bench.add(*((f"{n}", n, f"text {n}") for n in range(3)))
        adding = asyncio.create_task(bench.add(("x", 3, "one more")))
        await asyncio.sleep(0.05)
        assert not adding.done()
        await bench.add(("y", 4, None), ("z", 5, "text"), topic="other")
        assert bench.acked == [4]
        bench.encoder.gate.set()
        await adding
        await bench.until(lambda: len(bench.acked) == 6)

    on_bench(scenario, limit=4)


def test_the_model_gets_small_portions() -> None:
    async def scenario(bench: Bench) -> None:
        bench.encoder.gate.clear()
        await bench.add(*((f"{n}", n, f"text {n}") for n in range(200)))
        await bench.add(*((f"{n}", n, f"{n} " + "x" * 5_000) for n in range(200, 220)))
        bench.encoder.gate.set()
        await bench.until(lambda: len(bench.acked) == 220)
        assert max(map(len, bench.encoder.calls)) == CHUNK_TEXTS
        assert all(sum(min(len(text), 1_000) for text in call) <= CHUNK_CHARACTERS for call in bench.encoder.calls)
        assert [number for _, number, _ in bench.out] == list(range(220))

    on_bench(scenario)


@pytest.mark.parametrize("while_sending", [False, True])
def test_what_was_released_is_not_sent(while_sending: bool) -> None:
    async def scenario(bench: Bench) -> None:
        bench.encoder.gate.clear()
        adding = asyncio.create_task(bench.add(*((f"{n}", n, f"text {n}") for n in range(100))))
        await bench.until(lambda: len(bench.backlog) == 100)
        if while_sending:
            bench.sending.clear()
            bench.encoder.gate.set()
            await bench.until(lambda: bool(bench.encoder.calls))
            await asyncio.sleep(0.05)
        releasing = asyncio.create_task(bench.backlog.release())
        await asyncio.sleep(0.02)
        assert releasing.done() is not while_sending
        bench.sending.set()
        bench.encoder.gate.set()
        await releasing
        await adding
        await bench.add(("later", 200, "another"))
        await bench.until(lambda: 200 in bench.acked)
        sent = CHUNK_TEXTS if while_sending else 0
        assert bench.acked == [*range(sent), 200]
        assert [number for _, number, _ in bench.out] == bench.acked

    on_bench(scenario, limit=100)


steps = st.lists(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([None, "x", "xx", "poison", "long " * 9])), max_size=6),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(steps)
def test_everything_is_sent_once_and_in_order_per_key(batches: list[list[tuple[str, str | None]]]) -> None:
    async def scenario(bench: Bench) -> None:
        number, expected = 0, []
        for batch in batches:
            works: list[tuple[str | None, int, str | None]] = []
            for key, text in batch:
                works.append((key, number, text))
                expected.append((key, number, text))
                number += 1
            await bench.add(*works)
            await asyncio.sleep(0)
        await bench.until(lambda: len(bench.acked) == number)
        assert sorted(bench.acked) == list(range(number))
        order = {n: place for place, (_, n, _) in enumerate(bench.out)}
        for key in "abc":
            places = [order[n] for k, n, _ in expected if k == key]
            assert places == sorted(places)
        assert len(bench.backlog) == 0
        assert not bench.backlog._keys

    on_bench(scenario, limit=5)
