"""The command line: what it prints and with which status it ends, on real servers."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from divrec.config import Config, FeedbackConfig
from divrec.data.log import open_log
from divrec.data.naming import named
from divrec.events import Click, Reason, Recommendation, SlateItem, Trigger
from streams.cli import app
from streams.client.replay import replay
from streams.codec import REPLAY, Record, dead_letter, encode
from streams.local.servers import LOOPBACK
from streams.topics import Topics
from tests.streams.running import body, headers, prepared, read, send

COMMANDS = (
    *("demo", "up", "worker", "replay", "produce", "tail", "recommend", "whatif", "digest"),
    *("schemas", "topics", "dead-letters", "redrive"),
)
HEAVY = {"faust", "aiokafka", "torch", "numba", "transformers", "pydantic", "redis", "numpy", "rich.progress"}

RATINGS = """reviewer,sku,stars,when,words
ann,tea,5,2024-05-01T10:00:00Z,
bob,tea,9,2024-05-01T10:00:01Z,
bob,mug,4,2024-05-01T09:00:00Z,sturdy and plain
ann,tea,5,2024-05-01T10:00:00Z,
,mug,1,2024-05-01T10:00:02Z,
"""
MAP = "user=reviewer,item=sku,rating=stars,ts=when,text=words"


@pytest.fixture
def file(config: Config, tmp_path: Path) -> Path:
    """The configuration file of ``config``, whose topics are there."""
    prepared(config)
    return write(config, tmp_path)


def write(config: Config, directory: Path, extra: str = "") -> Path:
    kafka = config.kafka
    path = directory / "divrec.toml"
    path.write_text(
        f'[kafka]\nbrokers = "{kafka.brokers}"\nprefix = "{kafka.prefix}"\npartitions = {kafka.partitions}\n'
        f"idempotent = {str(kafka.idempotent).lower()}\nfetch_wait_ms = {kafka.fetch_wait_ms}\n"
        f'[redis]\nurl = "{config.redis.url.get_secret_value()}"\n'
        f'[worker]\nstate_dir = "{config.worker.state_dir}"\n{extra}'
    )
    return path


def divrec(*arguments: str | Path, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments], input=stdin, env={"COLUMNS": "200"})


def test_help_names_every_command_and_imports_nothing_heavy() -> None:
    code = "import sys; from streams.cli import app\ntry: app(['--help'])\nexcept SystemExit: pass\n"
    code += f"print(sorted(name for name in sys.modules if name in {HEAVY}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")
    for command in COMMANDS:
        assert f" {command} " in done.stdout
        assert divrec(command, "--help").exit_code == 0


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "expected a file at"),
        ("[kafka]\nbroker = 'x:1'\n", "kafka.broker"),
        ("[kafka\n", "not valid TOML"),
        (f"[kafka]\nbrokers = '{LOOPBACK}:1'\n", "none answers"),
    ],
)
@pytest.mark.parametrize("before", [True, False])
def test_an_error_is_one_clear_line(tmp_path: Path, content: str | None, told: str, before: bool) -> None:
    path = tmp_path / "some.toml"
    if content is not None:
        path.write_text(content)
    named_file = ("--config", path)
    result = divrec(*named_file, "topics", "check") if before else divrec("topics", "check", *named_file)
    assert result.exit_code == 2
    assert told in result.stderr
    assert result.stderr.startswith("divrec: ") and result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_a_worker_with_a_wrong_configuration_ends_with_its_own_status(tmp_path: Path) -> None:
    result = divrec("worker", "ingest", "--config", tmp_path / "absent.toml")
    assert (result.exit_code, result.stderr.count("\n")) == (78, 1)


def test_topics_are_created_checked_and_listed(config: Config, tmp_path: Path) -> None:
    path = write(config, tmp_path)
    missing = divrec("topics", "check", "--config", path)
    assert missing.exit_code == 2
    assert "divrec topics create" in missing.stderr
    created = json.loads(divrec("topics", "create", "--json", "--config", path).stdout)
    assert {state["state"] for state in created} == {"created"}
    assert divrec("topics", "create", "--config", path).exit_code == 0
    assert "as they must be" in divrec("topics", "check", "--config", path).stdout
    listed = json.loads(divrec("topics", "list", "--json", "--config", path).stdout)
    assert [topic["name"] for topic in listed] == [state["name"] for state in created]
    assert f"{config.kafka.prefix}events" in divrec("topics", "list", "--config", path).stdout


def test_what_is_produced_is_seen_by_tail(file: Path, tmp_path: Path) -> None:
    lines = ['{"user_id":"ann","item_id":"tea"}', "", '{"user_id":"bob","item_id":"mug","action":"like"}']
    assert divrec("produce", "clicks", "--config", file, stdin="\n".join(lines)).exit_code == 0
    (tmp_path / "more.jsonl").write_text('{"user_id":"cy","item_id":"tea","action":"sniff"}\n{"user_id":"cy"}\nnope\n')
    bad = divrec("produce", "clicks", str(tmp_path / "more.jsonl"), "--json", "--config", file)
    assert bad.exit_code == 1
    assert [entry["reason"] for entry in json.loads(bad.stdout)["bad"]] == ["invalid", "invalid", "not-json"]
    assert "line 1: invalid" in bad.stderr
    one = ("--user", "cy", "--item", "tea", "--action", "purchase", "--rating", "4.5")
    assert divrec("produce", "clicks", *one, "--config", file).exit_code == 0
    seen = divrec("tail", "clicks", "--from", "start", "--limit", "3", "--json", "--config", file)
    clicks = {event["user_id"]: event for event in map(json.loads, seen.stdout.splitlines())}
    assert clicks["ann"] == {"user_id": "ann", "item_id": "tea"}
    assert clicks["bob"]["action"] == "like"
    assert (clicks["cy"]["action"], clicks["cy"]["rating"]) == ("purchase", 4.5)
    shown = divrec("tail", "clicks", "--from", "start", "--limit", "3", "--config", file)
    assert shown.stdout.count("\n") == 3 and "purchase" in shown.stdout


def test_raw_lines_are_sent_as_they_are(file: Path) -> None:
    assert divrec("produce", "reviews", "--raw", "--config", file, stdin="no json\n").exit_code == 0
    seen = divrec("tail", "reviews", "--from", "start", "--limit", "1", "--json", "--config", file)
    assert json.loads(seen.stdout) == {"key": None, "value": "no json"}


def test_lines_for_a_mapped_topic_are_checked_in_their_own_shape(config: Config, tmp_path: Path) -> None:
    prepared(config)
    path = write(config, tmp_path, '[topics.clicks.map]\nuser = "who"\nitem = "what"\n')
    result = divrec("produce", "clicks", "--config", path, stdin='{"who":"ann","what":"tea"}\n{"user_id":"ann"}\n')
    assert result.exit_code == 1
    assert "sent 1" in result.stderr and "line 2: missing-field" in result.stderr
    own = divrec("produce", "clicks", "--user", "ann", "--item", "tea", "--config", path)
    assert own.exit_code == 2 and "topics.clicks.map" in own.stderr


def test_tail_shows_recommendations_and_dead_letters_for_people(file: Path, config: Config) -> None:
    topics = Topics(config)
    slate = Recommendation(
        recommendation_id="g1:0:7",
        user_id="ann",
        trigger=Trigger(partition=0, offset=7),
        ts=1,
        made_at=1,
        generation="g1",
        version=3,
        diversity=0.3,
        items=[
            SlateItem(
                item_id="mug",
                position=1,
                relevance=1.0,
                relevance_rank=1,
                reasons=[Reason(code="transition", share=0.8, item_id="tea"), Reason(code="popular_now", share=0.2)],
            )
        ],
    )
    (dead,) = _dead_letter(topics)
    send(
        config,
        [
            Record(topics.catalog, None, b"mug", b'{"item_id":"mug","title":"A plain mug"}'),
            Record(topics.catalog, None, b"tea", b'{"item_id":"tea","title":"Green [tea]"}'),
            Record(topics.recommendations, 0, b"ann", encode(slate)),
            dead,
        ],
    )
    shown = divrec("tail", "--from", "start", "--limit", "1", "--config", file).stdout
    assert "ann" in shown and "mug  A plain mug" in shown
    assert "often next after Green [tea]; popular now" in shown
    letters = divrec("tail", "dead-letters", "--from", "start", "--limit", "1", "--config", file).stdout
    assert "not-json" in letters and "ingest" in letters and f"{topics.clicks}:2:9" in letters
    told = json.loads(
        divrec("tail", "dead-letters", "--from", "start", "--limit", "1", "--json", "--config", file).stdout
    )
    assert (told["reason"], told["partition"], told["value"], told["key"]) == ("not-json", "2", "{nope", "ann")


def _dead_letter(topics: Topics) -> list[Record]:
    from streams.codec import Message

    return [
        dead_letter(topics.dead_letters, Message(topics.clicks, 2, 9, 1, b"ann", b"{nope"), "not-json", "?", "ingest")
    ]


def test_a_log_is_replayed_into_the_input_topics(file: Path, config: Config, tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text(RATINGS)
    (tmp_path / "items.jsonl").write_text('{"sku":"tea","name":"Tea"}\n{"sku":"mug","name":"Mug"}\n')
    side = tmp_path / "bad.jsonl"
    command = ("replay", tmp_path / "ratings.csv", "--map", MAP, "--items", tmp_path / "items.jsonl")
    command += ("--items-map", "item=sku,title=name", "--rejects", side, "--json", "--config", file)
    for _ in range(2):
        result = divrec(*command)
        assert result.exit_code == 0, result.stderr
        told = json.loads(result.stdout)
        assert told["sent"] == {"items": 2, "clicks": 2, "reviews": 1}
        assert told["rejected"] == {"bad-rating": 1, "missing-field": 1}
        assert len(side.read_text().splitlines()) == 2
    topics = Topics(config)
    clicks = read(config, topics.clicks, lambda messages: len(messages) >= 4)
    ids = [body(message)["event_id"] for message in clicks]
    assert len(set(ids)) == 2 and sorted(ids) == sorted([*set(ids)] * 2)
    assert all(headers(message) == {REPLAY: "1"} for message in clicks)
    (review, again) = (body(m) for m in read(config, topics.reviews, lambda messages: len(messages) >= 2))
    assert review == again and (review["text"], review["rating"]) == ("sturdy and plain", 4.0)
    titles = {body(m)["title"] for m in read(config, topics.items, lambda messages: len(messages) >= 4)}
    assert titles == {"Tea", "Mug"}


def test_slates_leaves_the_mark_out_and_bad_lines_are_told(file: Path, config: Config, tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text(RATINGS)
    side = tmp_path / "bad.jsonl"
    log = (tmp_path / "ratings.csv", "--map", MAP, "--rejects", side)
    result = divrec("replay", *log, "--slates", "--limit", "2", "--speed", "1e6", "--config", file)
    assert result.stdout == "sent 1 clicks, 1 reviews\n"
    assert f"2 bad lines (1 bad-rating, 1 missing-field) are in {side}" in result.stderr
    (click,) = read(config, Topics(config).clicks, lambda messages: len(messages) >= 1)
    assert headers(click) == {}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("absent.csv", "--map", "user=u,item=i"), "expected a file at absent.csv"),
        (("x.csv", "--map", "user"), "mapping: expected"),
        (("x.csv", "--speed", "0"), "--speed: expected a number above 0 or max"),
        (("x.csv", "--preset", "moviemania"), "preset: expected one of"),
    ],
)
def test_a_replay_that_cannot_be_is_refused(file: Path, arguments: tuple[str, ...], told: str) -> None:
    result = divrec("replay", *arguments, "--config", file)
    assert result.exit_code == 2
    assert told in result.stderr


def test_a_replay_into_a_mapped_topic_is_refused(config: Config, tmp_path: Path) -> None:
    mapped = Config(kafka=config.kafka, topics={"clicks": {"map": {"user": "u", "item": "i"}}})
    (tmp_path / "log.jsonl").write_text("")
    with open_log([tmp_path / "log.jsonl"]) as log, pytest.raises(Exception, match=r"topics\.clicks\.map"):
        replay(mapped, log)


def test_ids_are_a_function_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text(RATINGS)

    def ids(count: int) -> list[str | None]:
        path = tmp_path / "ratings.csv"
        columns = {"user_id": "reviewer", "item_id": "sku", "ts": "when", "action": "=view"}
        with open_log([path], map=columns, feedback=FeedbackConfig()) as log:
            return [event.event_id for event in named(log.events())][:count]

    whole = ids(10)
    assert len(whole) == len(set(whole)) == 4  # the two equal ones are told apart
    assert ids(2) == whole[:2]
    assert [e.event_id for e in named([Click(user_id="u", item_id="i", event_id="mine")])] == ["mine"]


def test_a_replay_keeps_the_pace_of_the_log(config: Config, tmp_path: Path) -> None:
    clicks = [Click(user_id="u", item_id=f"i{n}", ts=1_000 * n + 1_000) for n in range(5)]
    (tmp_path / "log.jsonl").write_bytes(b"\n".join(encode(click) for click in clicks))
    with open_log([tmp_path / "log.jsonl"]) as log:
        began = time.monotonic()
        replay(prepared(config), log, speed=8.0)
        assert 0.5 <= time.monotonic() - began < 3.0
    stamps = [m.timestamp for m in read(config, Topics(config).clicks, lambda messages: len(messages) >= 5)]
    assert max(stamps) - min(stamps) >= 450


def test_a_request_without_an_answer_is_told(file: Path) -> None:
    result = divrec("recommend", "ann", "--timeout", "0.5", "--config", file)
    assert result.exit_code == 2
    assert "expected an answer within 0.5 s" in result.stderr
    latest = divrec("recommend", "ann", "--latest", "--config", file)
    assert latest.exit_code == 2 and "no slate of ann" in latest.stderr


def test_the_digest_of_an_empty_model(file: Path) -> None:
    told: dict[str, Any] = json.loads(divrec("digest", "--json", "--config", file).stdout)
    assert told["version"] == 0 and len(told["digest"]) == 32
    assert told["digest"] in divrec("digest", "--config", file).stdout


def test_ctrl_c_is_quiet(file: Path) -> None:
    command = [sys.executable, "-m", "streams.cli", "tail", "--config", str(file)]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        time.sleep(2.5)
        running.send_signal(signal.SIGINT)
        output, errors = running.communicate(timeout=10)
    finally:
        running.kill()
    assert (running.returncode, output, errors) == (130, "", "")


def test_up_runs_a_stack_until_it_is_told_to_stop(tmp_path: Path) -> None:
    settings = tmp_path / "mine.toml"
    settings.write_text("[slate]\nk = 3\n")
    command = ["up", str(tmp_path / "stack"), "--workers", "ingest", "--json", "--config", str(settings)]
    running = subprocess.Popen(
        [sys.executable, "-m", "streams.cli", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert running.stdout is not None
        info = json.loads(running.stdout.readline())
        assert set(info["processes"]) == {"broker", "valkey", "ingest"}
        assert '"k" = 3' in Path(info["config"]).read_text()
        stack = ("--config", info["config"])
        assert divrec("produce", "clicks", "--user", "ann", "--item", "tea", *stack).exit_code == 0
        seen = divrec("tail", "events", "--from", "start", "--limit", "1", "--json", *stack)
        assert json.loads(seen.stdout)["user_id"] == "ann"
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=15)
    finally:
        running.kill()
    assert (running.returncode, errors) == (130, "")
    with pytest.raises(ProcessLookupError):
        os.kill(info["processes"]["broker"]["pid"], 0)


def test_up_refuses_an_unknown_worker(tmp_path: Path) -> None:
    result = divrec("up", tmp_path / "stack", "--workers", "ingest,dance")
    assert result.exit_code == 2 and "got dance" in result.stderr
