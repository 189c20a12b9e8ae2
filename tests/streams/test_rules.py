"""Rules through the topics: a worker that reads them at start, what it publishes, and its metrics."""

import json
from pathlib import Path
from typing import Any

from divrec.config import Config
from divrec.events import Click, Item, Request
from streams.codec import Record, encode
from streams.topics import Topics
from tests.servers import Broker, ValkeyServer, config_for
from tests.streams.running import body, prepared, read, send, worker
from tests.streams.test_cli import divrec, write
from tests.streams.test_computation import Desk, click
from tests.streams.test_health import ported, samples, until

RULES: dict[str, Any] = {
    "filters": [{"name": "sold-abroad", "where": [{"field": "seller", "any_of": ["far"]}]}],
    "pins": [{"name": "welcome", "item": "i5", "position": 1}],
    "sponsored": [{"name": "spring", "where": [{"field": "brand", "any_of": ["garden"]}], "positions": [3]}],
}


def test_rules_hide_and_metrics_through_the_topics(broker: Broker, valkey: ValkeyServer, tmp_path: Path) -> None:
    values = config_for(broker, valkey, tmp_path).model_dump()
    config = ported(prepared(Config(**values | {"rules": RULES})))
    topics = Topics(config)
    items = [
        Item(
            item_id=f"i{n}",
            title=f"Thing {n}",
            seller="far" if n % 2 == 0 else "near",
            brand="garden" if n == 9 else "",
        )
        for n in range(20)
    ]
    send(config, [Record(topics.catalog, None, item.item_id.encode(), encode(item)) for item in items])

    def ask(request_id: str) -> Record:
        request = Request(user_id="ann", request_id=request_id, ts=1_700_000_000_000)
        return Record(topics.requests, None, b"ann", encode(request))

    with worker(config, "streams.recommend") as recommend, worker(ported(config), "streams.ingest"):
        send(config, [ask("one")])
        (first,) = [body(m) for m in read(config, topics.recommendations, lambda m: len(m) >= 1)]
        hide = Click(user_id="ann", item_id="i5", action="hide", ts=1_700_000_000_001)
        send(config, [Record(topics.clicks, None, b"ann", encode(hide))])
        read(config, topics.recommendations, lambda m: len(m) >= 2)
        send(config, [ask("two")])
        found = [body(m) for m in read(config, topics.recommendations, lambda m: len(m) >= 3)]
        (last,) = [r for r in found if r["trigger"].get("request_id") == "two"]
        until(recommend, lambda: ("rule_removed_total", "hidden") in samples(config))
        counted = samples(config)
        file = write(config, tmp_path)
        shown = divrec("recommend", "ann", "--latest", "--config", file).stdout
        tailed = divrec("tail", "--from", "start", "--limit", "1", "--config", file).stdout
        assert recommend.end() == 0
    assert first["items"][0]["item_id"] == "i5" and first["items"][0]["rules"] == ["welcome"]
    assert first["items"][2]["item_id"] == "i9" and first["items"][2]["sponsored"] is True
    assert first["removed"] == {"sold-abroad": 10}
    assert last["removed"] == {"hidden": 1, "sold-abroad": 10}
    for slate in found[1:]:
        shown_items = {item["item_id"] for item in slate["items"]}
        assert "i5" not in shown_items and not shown_items & {f"i{n}" for n in range(0, 20, 2)}
    assert counted["rule_applied_total", "welcome"] == 1 and counted["rule_applied_total", "spring"] == 3
    assert counted["rule_removed_total", "sold-abroad"] == 30 and counted["rule_removed_total", "hidden"] == 2
    assert "taken out: 1 by hidden (hidden by the user), 10 by sold-abroad" in shown and "by rule: spring" in shown
    assert "by rule: welcome" in tailed and "taken out: 10 by sold-abroad" in tailed


def test_a_batch_tells_what_rules_did() -> None:
    desk = Desk(rules={"pins": [{"name": "welcome", "item": "i4", "position": 1}], "cap_impressions": 1})
    desk.take(click("impression", "i3"))
    outcome = desk.take(Request(user_id="u", ts=2_000), click("view", "i4", ts=2_001))
    assert outcome.ruled == {"welcome": 2} and outcome.removed == {"cap": 2}
    assert json.loads(outcome.slates["u"])["removed"] == {"cap": 1}
