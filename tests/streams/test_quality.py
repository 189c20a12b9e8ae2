"""What published slates were worth, from batches to gauges and the record for ``metrics``."""

import asyncio
from typing import Any

import msgspec
import pytest

from divrec.config import Config
from divrec.engine import Engine
from divrec.events import Item, Quality
from streams.codec import Record
from streams.quality import Shown, SlateQuality, Turned
from tests.streams.test_computation import Desk, click


def never(item_id: str) -> bool:  # noqa: ARG001
    return False


def test_a_batch_tells_what_was_shown_and_what_users_turned_to() -> None:
    desk = Desk()
    (shown,) = desk.take(click(item="i0")).told[1:]
    assert isinstance(shown, Shown) and shown.user_id == "u" and "i1" in shown.items
    told = desk.take(click("like", item="i1"), click("like", item="i1"), click("dislike", item="i2")).told
    turned = [one for one in told if isinstance(one, Turned)]
    assert [one.item_id for one in turned] == ["i1"]  # the second time it could not have been shown, dislike is no hit
    assert turned[0].hidden("i0") and not turned[0].hidden("i2")


def test_quality_is_published_and_shown_by_gauges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.quality.PUBLISH_S", 0.01)
    config = Config()
    quality = SlateQuality(config, Engine(config))
    quality.note([Turned("u", "a", never), Shown("u", ["a", "b"], ("b",)), Turned("u", "b", never)])
    sent: list[Record] = []

    async def send(records: list[Record]) -> None:
        sent.extend(records)

    async def publishing() -> None:
        task = asyncio.create_task(quality.publish(send))
        await asyncio.sleep(0.1)
        task.cancel()

    asyncio.run(publishing())
    (record,) = sent  # nothing new, nothing more
    told = msgspec.json.decode(record.value or b"", type=Quality)
    assert record.topic == "divrec.metrics" and (told.tests, told.hr, told.popularity_hr) == (1, 1.0, 1.0)
    assert told.ndcg == pytest.approx(0.6309, abs=1e-4) and told.popularity_ndcg == 1.0
    samples = {(definition.name, tuple(labels)): value for definition, labels, value in quality.samples()}
    assert samples["quality", ("slates", "hr")] == 1.0 and samples["quality_tests", ()] == 1


def test_the_popular_are_named_once_until_they_change() -> None:
    config = Config()
    engine: Any = Engine(config)
    engine.put_item(Item(item_id="a", title="a", ts=1))
    quality = SlateQuality(config, engine)
    assert quality.popular() is quality.popular()
