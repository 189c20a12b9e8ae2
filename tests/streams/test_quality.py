"""What published slates were worth, from batches to gauges and the record for ``metrics``."""

import asyncio
import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from divrec.config import Config
from divrec.deltas import Delta, ModelLogRecord
from divrec.engine import Engine
from divrec.events import Item, ItemVector, ListQuality, Quality, pack_vector
from divrec.model import DAY_MS
from streams.codec import Message, Record
from streams.commands.tail import TopicName, _shower
from streams.lists import list_quality
from streams.quality import Shown, SlateQuality, Turned
from tests.streams.test_computation import Desk, click

ROOT = Path(__file__).parents[2]


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
    assert told.lists == samples["quality_lists", ()] == 1 and told.slates is not None and told.slates.ild is None


def test_the_popular_are_named_once_until_they_change() -> None:
    config = Config()
    engine: Any = Engine(config)
    engine.put_item(Item(item_id="a", title="a", ts=1))
    quality = SlateQuality(config, engine)
    assert quality.popular() is quality.popular()


def tea_and_mugs(config: Config) -> Engine:
    """Two teas, had ten times and once, and a mug, never had; all of the same day but the second tea."""
    engine = Engine(config)
    for item_id, categories, ts in (("green", ["tea"], 9 * DAY_MS), ("black", ["tea"], DAY_MS), ("mug", ["china"], 0)):
        engine.put_item(Item(item_id=item_id, title=item_id, categories=categories, ts=ts))
    for item_id, vector in (("green", [1.0, 0.0]), ("black", [0.8, 0.6]), ("mug", [-1.0, 0.0])):
        packed = pack_vector(np.array(vector, np.float32))
        engine.put_vector(ItemVector(item_id=item_id, model=config.encoder.model, vector=packed))
    had = ["green"] * 10 + ["black"]
    deltas = [Delta(n, item_id, 1.0, 20 * DAY_MS, [], True, b"", n) for n, item_id in enumerate(had)]
    engine.apply(ModelLogRecord(0, deltas), 0)
    return engine


def test_what_lists_are_like() -> None:
    config = Config(slate={"fresh_days": 15})
    engine = tea_and_mugs(config)
    lists = [["green", "black"], ["green", "mug", "gone"], []]
    found = list_quality(config, engine, lists, [["black", "green"], ["green", "black"], ["mug"]])
    assert found.category_coverage == pytest.approx((1 / 2 + 2 / 2) / 2)
    assert found.ild_categories == pytest.approx((0 + 1) / 2)
    centred = [engine.catalog.vectors[engine.items.get(item_id)] for item_id in ("green", "black", "mug")]
    assert found.ild == pytest.approx(1 - (centred[0] @ centred[1] + centred[0] @ centred[2]) / 2, abs=1e-6)
    bits = math.log2(11)
    assert found.novelty == pytest.approx(((2 * bits - math.log2(10)) / 2 + (2 * bits - math.log2(10)) / 2) / 2)
    assert found.popularity == pytest.approx(((3 / 4 + 1 / 4) / 2 + (3 / 4 + 0) / 2) / 2), "of the two ever had"
    assert found.freshness == pytest.approx((1 / 2 + 1) / 2), "the age of the mug is not known"
    assert found.inter_list == pytest.approx((0 + 2 / 3) / 2)
    assert found.catalog_coverage == 1.0 and found.gini == pytest.approx(1 / 6)
    alone = list_quality(config, engine, lists)
    assert alone.inter_list is alone.catalog_coverage is alone.gini is None and alone.ild == found.ild


def test_nothing_known_is_nothing_told() -> None:
    config = Config()
    assert list_quality(config, Engine(config), [["a", "b"], []]) == ListQuality()


def test_lists_are_shown_beside_popularity() -> None:
    config = Config()
    quality = SlateQuality(config, tea_and_mugs(config))
    quality.note([Shown("u", ["mug", "black"], ()), Shown("u", ["mug", "green"], ())])
    quality.look()
    samples = {(definition.name, tuple(labels)): value for definition, labels, value in quality.samples()}
    assert samples["quality_lists", ()] == 2 and samples["list_quality", ("slates", "category_coverage")] == 1.0
    assert samples["list_quality", ("popularity", "category_coverage")] == 0.5, "both teas"
    assert samples["list_quality", ("slates", "inter_list")] == pytest.approx(2 / 3)
    assert ("list_quality", ("popularity", "inter_list")) not in samples


def test_tail_shows_it_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    told = (ROOT / "tests" / "contracts" / "golden_v1" / "quality_lists.json").read_bytes()
    show = _shower(Config(), TopicName.metrics)
    show(Message("divrec.metrics", 0, 0, 0, None, told, []))
    seen = " ".join(capsys.readouterr().out.split())
    assert "host-1:4711" in seen and "1,250 tests hr 0.104 (0.059) ndcg 0.052 (0.028)" in seen
    assert "500 lists category_coverage 0.062 (0.050) ild 0.812 (0.773)" in seen and "gini 0.830" in seen
