"""``divrec evaluate --policy`` as a command: slates of the engine, and users whose taste is known."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from divrec.config import Config
from divrec.engine import Ask
from divrec.evaluate.logged import by_relevance, unexplored
from divrec.events import Reason, Recommendation, SlateItem, Trigger
from divrec.profile import Profile
from streams.cli import app
from streams.client.dump import dumped
from streams.codec import Message, encode
from streams.topics import Topics
from tests.test_engine import NOW, ids
from tests.test_exploring import crowded

HOUR = 3_600_000
MAP = "user=u,item=i,action=a,ts=t"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)], env={"COLUMNS": "140"})


def recommendation(number: int, user_id: str, items: list[SlateItem], ts: int = NOW) -> Recommendation:
    return Recommendation(
        recommendation_id=f"g1:0:{number}",
        user_id=user_id,
        trigger=Trigger(partition=0, offset=number),
        ts=ts,
        made_at=ts,
        generation="g1",
        version=1,
        diversity=0.0,
        items=items,
    )


@pytest.fixture(scope="module")
def published() -> tuple[list[Recommendation], list[str], float]:
    """Slates of 1,500 users by relevance with a share explored, what they did, and what plain slates would earn."""
    engine, random = crowded(0.4), np.random.default_rng(7)
    appeal = {f"i{n}": random.uniform(0.02, 0.5) for n in range(80)}
    made, rows, truth = [], [], 0.0
    asks = [Ask(Profile(f"u{n}", 0), NOW) for n in range(1_500)]
    (plain,) = engine.recommend_all([asks[0]._replace(explore=False)])
    for n, (ask, slate) in enumerate(zip(asks, engine.recommend_all(asks), strict=True)):
        made.append(recommendation(n, ask.profile.user_id, slate))
        for position, item in enumerate(slate):
            truth += appeal[next(i for i in ids(plain) if i not in ids(slate[:position]))]
            if random.random() < appeal[item.item_id]:
                rows.append(f"{ask.profile.user_id},{item.item_id},click,{NOW + HOUR}")
            rows.append(f"{ask.profile.user_id},{item.item_id},impression,{NOW + 1}")
            rows.append(f"{ask.profile.user_id},{item.item_id},like,{NOW + 30 * HOUR}")  # too late
    return made, rows, truth / (4 * len(made))


def written(tmp_path: Path, made: list[Recommendation], rows: list[str]) -> tuple[Path, Path]:
    slates, clicks = tmp_path / "slates.jsonl", tmp_path / "clicks.csv"
    slates.write_bytes(b"".join(encode(one) + b"\n" for one in made))
    clicks.write_text("u,i,a,t\n" + "\n".join(rows) + "\n")
    return slates, clicks


def test_what_slates_would_earn_without_exploration(
    published: tuple[list[Recommendation], list[str], float], tmp_path: Path
) -> None:
    made, rows, truth = published
    slates, clicks = written(tmp_path, made, rows)
    out = tmp_path / "out.json"
    done = run(clicks, "--map", MAP, "--policy", slates, "--json", out)
    assert done.exit_code == 0, done.output
    assert "1,500 slates of 1,500 users, 6,000 shown items" in done.output and "unexplored" in done.output
    told = json.loads(out.read_text())
    assert told["slates"] == 1_500 and told["shown"] == 6_000 and 1_000 < told["explored"] < 2_400
    assert told["within_ms"] == 24 * HOUR and 0 < told["rewarded"] < 3_000
    policies = told["policies"]
    assert list(policies) == ["logged", "unexplored", "relevance"]
    assert policies["unexplored"] == policies["relevance"], "without diversification they are the same"
    assert policies["unexplored"]["supported"]
    for name in ("ips", "snips"):
        estimate = policies["unexplored"][name]
        assert estimate["low"] < truth < estimate["high"], (name, truth)
        assert estimate["value"] == pytest.approx(truth, rel=0.1)
    assert policies["logged"]["value"] == pytest.approx(told["rewarded"] / 6_000)


def test_a_dump_of_both_topics_says_the_same(
    published: tuple[list[Recommendation], list[str], float], tmp_path: Path
) -> None:
    made, rows, _ = published
    slates, clicks = written(tmp_path, made, rows)
    topics = Topics(Config())

    def line(topic: str, number: int, value: bytes) -> bytes:
        return dumped(Message(topic, 0, number, NOW + 90 * HOUR, b"u", value)) + b"\n"

    both = tmp_path / "recommendations.jsonl", tmp_path / "events.jsonl"
    both[0].write_bytes(b"".join(line(topics.recommendations, n, encode(one)) for n, one in enumerate([*made, *made])))
    events = []
    for row in rows:
        user, item, action, ts = row.split(",")
        events.append({"kind": "click", "user_id": user, "item_id": item, "action": action, "ts": int(ts)})
    both[1].write_bytes(b"".join(line(topics.events, n, json.dumps(event).encode()) for n, event in enumerate(events)))
    out, again = tmp_path / "out.json", tmp_path / "again.json"
    assert run(clicks, "--map", MAP, "--policy", slates, "--json", out).exit_code == 0
    done = run(both[1], "--policy", both[0], "--json", again)
    assert done.exit_code == 0, done.output
    assert json.loads(out.read_text()) == json.loads(again.read_text()), "repeated recommendations count once"


def item(name: str, position: int, rank: int, propensity: float = 1.0, *codes: str) -> SlateItem:
    reasons = [Reason(code=code, share=0.0) for code in codes]  # type: ignore[arg-type]
    return SlateItem(
        item_id=name, position=position, relevance=0.5, relevance_rank=rank, reasons=reasons, propensity=propensity
    )


def test_what_policies_would_have_shown() -> None:
    slate = [
        item("b", 1, 2),
        item("x", 2, 70, 0.1, "explored", "fresh"),
        item("a", 3, 1),
        item("c", 4, 3, 0.9, "fresh"),
    ]
    assert unexplored(slate) == [1.0, 0.0, 1.0, 1.0]
    assert by_relevance(slate) == [0.0, 0.0, 1.0, 1.0]


def test_what_could_not_have_been_shown_is_said(tmp_path: Path) -> None:
    made = [recommendation(n, f"u{n}", [item("b", 1, 2), item("a", 2, 1), item("c", 3, 3)]) for n in range(20)]
    slates, clicks = written(tmp_path, made, [f"u{n},a,click,{NOW + 5}" for n in range(20)])
    done = run(clicks, "--map", MAP, "--policy", slates, "--within", "30m")
    assert done.exit_code == 0, done.output
    assert "No slate explored" in done.output
    assert "relevance: the slates could have shown only 67% of what it would show" in done.output.replace("\n", " ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--within", "soon"), "--within: expected a time such as 30m, 24h or 7d, got 'soon'"),
        (("--within", "0h"), "--within: expected a time"),
        (("--models", "divrec"), "--policy: expected none of the options of models, got --models"),
        (("--repeats",), "got --repeats"),
        (("--map", "user=u,item=i"), "expected clicks or reviews with times"),
        (("--policy", "nowhere.jsonl"), "nowhere.jsonl"),
        (("--policy", "CLICKS"), "line 1: expected a recommendation"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    slates, clicks = written(tmp_path, [recommendation(0, "u", [item("a", 1, 1)])], [f"u,a,click,{NOW + 5}"])
    done = run(clicks, "--map", MAP, "--policy", slates, *(str(clicks) if a == "CLICKS" else a for a in arguments))
    assert done.exit_code == 2 and "Traceback" not in done.output
    assert message in done.output.replace("\n", " "), done.output
