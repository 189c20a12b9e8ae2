"""Dead letters sent back: what goes, what is left, and that nothing is doubled."""

import json
import os
import re
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from divrec.config import Config
from divrec.errors import ConfigError, EventError
from divrec.events import MAX_MESSAGE_BYTES, Click, Item, Review, pack_vector
from streams.client.dead_letters import Choice, Letter, letter_of
from streams.client.item_times import ItemTimes
from streams.client.redrive import Summary, facts, redrive
from streams.client.repair import Refused, Repair
from streams.client.way_back import WayBack
from streams.codec import TIMESTAMP, Message, Record, dead_letter, encode, now_ms
from streams.encode import Encoding
from streams.kafka.sending import Sender, SendError
from streams.topics import Topics, partition_of
from tests.e2e.checks import replica_of, stored_profiles
from tests.servers import Broker, ValkeyServer, config_for
from tests.streams.running import prepared, read, read_all, send, worker
from tests.streams.test_cli import divrec, write
from tests.text.tiny_bert import save_random_bert

TIME = now_ms() - 3_600_000  # Kafka deletes what is older than its topic keeps
CONFIG = Config(kafka={"partitions": 4})
WAY_BACK = WayBack(CONFIG)
PYTHON = sys.executable


def dead(
    topic: str, value: bytes | None, stage: str, headers: Sequence[tuple[str, bytes]] = (), **about: Any
) -> Letter:
    source = Message(topic, 1, about.get("offset", 5), TIME, about.get("key", b"k"), value, headers)
    record = dead_letter("dead", source, about.get("reason", "invalid"), "why", stage, about.get("event_id"))
    found = letter_of(Message("dead", 2, 7, TIME + 60_000, record.key, record.value, record.headers))
    assert found is not None
    return found


# -- the repair command ------------------------------------------------------------------------------------------------


def script(text: str) -> str:
    return f"{PYTHON} -c '{text}'"


def test_a_command_repairs_from_stdin_to_stdout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIVREC_KAFKA__PASSWORD", "secret")
    monkeypatch.setenv("OTHER", "kept")
    repair = Repair(script('import os,sys; print(sys.stdin.read()+"|"+repr(sorted(os.environ.items())), end="")'))
    result = repair(b"broken\xc3\xa9", {"LETTER_KEY": "a\0b" + "x" * 200_000, "LETTER_REASON": "not-json"}).decode()
    assert result.startswith("brokené|")
    assert "('LETTER_REASON', 'not-json')" in result and "('OTHER', 'kept')" in result
    assert "DIVREC" not in result and "secret" not in result
    assert len(result) < 20_000 + sum(map(len, os.environ)) + sum(map(len, os.environ.values()))


def test_large_values_pass_through() -> None:
    value = os.urandom(MAX_MESSAGE_BYTES)
    assert Repair("cat")(value, {}) == value
    assert Repair("true")(value, {}) == b""  # it need not read


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("false", "status 1"),
        (script('import sys; print("x"*9000+chr(10)+"no user", file=sys.stderr); sys.exit(3)'), "status 3: no user"),
        (script('import sys; sys.stdout.write("x"*(2**18+1))'), "wrote more than"),
        ("yes", "wrote more than"),
        ("sleep 30", "took longer"),
        ("sh -c 'sleep 30 & echo fine'", "took longer"),
        ("sh -c 'exec >&- 2>&-; sleep 30'", "took longer"),
        ("sh -c 'kill -9 $$'", "status -9"),
    ],
)
def test_a_command_that_fails_leaves_its_letter(command: str, told: str) -> None:
    begin = time.monotonic()
    with pytest.raises(Refused, match=told):
        Repair(command, seconds=0.4 if "sleep" in command else 10)(b"x", {})
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize("command", ["", "  ", "no-such-program-anywhere", "'unclosed"])
def test_what_is_no_command_is_said(command: str) -> None:
    with pytest.raises(ConfigError, match="--command"):
        Repair(command)


# -- the way back ------------------------------------------------------------------------------------------------------


def test_an_input_goes_back_with_key_headers_id_and_time() -> None:
    value = b'{"kind":"click","user_id":"u","item_id":"i"}'
    letter = dead(
        "divrec.clicks", value, "ingest", [("trace", b"t"), ("divrec-replay", b"1"), ("divrec-arrived", b"9")]
    )
    record, state = WAY_BACK.of(letter, value)
    assert record == Record(
        "divrec.clicks",
        None,
        b"k",
        value,
        [
            ("trace", b"t"),
            ("divrec-replay", b"1"),
            ("divrec-event-id", b"divrec.clicks:1:5"),
            ("divrec-timestamp", b"%d" % TIME),
        ],
    )
    assert state is None


def test_an_event_goes_to_the_partition_of_its_user() -> None:
    value = encode(Click(user_id="u", item_id="i", event_id="e", ts=TIME))
    record, _ = WAY_BACK.of(dead("divrec.events", value, "recommend", key=b"other", event_id="e"), value)
    assert record[:4] == ("divrec.events", partition_of("u", 4), b"u", value)
    assert dict(record.headers)["divrec-event-id"] == b"e"


def test_an_item_tells_what_the_catalogue_would_hold() -> None:
    value = encode(Item(item_id="tea", title="Tea"))
    _, state = WAY_BACK.of(dead("divrec.items", value, "encode"), value)
    assert state is not None and state.key == b"tea"
    assert dict(state.headers)[TIMESTAMP] == b"%d" % TIME


BAD_VECTOR = Review(user_id="u", item_id="i", text="x", model="m", vector=pack_vector(np.zeros(3, np.float32)))


@pytest.mark.parametrize(
    ("topic", "value", "reason"),
    [
        ("clicks", b"{", "not-json"),
        ("clicks", None, "empty"),
        ("clicks", b'{"user_id":""}', "invalid"),
        ("clicks", b'{"user_id":"u","item_id":"i","rating":9}', "bad-rating"),
        ("requests", b"x" * (MAX_MESSAGE_BYTES + 1), "too-large"),
        ("reviews", b"{", "not-json"),
        ("items", None, "no-key"),
        ("events", b"{", "not-json"),
        ("events", b'{"user_id":"u","item_id":"i"}', "invalid"),
        ("events", encode(Click(user_id="u", item_id="i", rating=9.0)), "bad-rating"),
        ("events", encode(BAD_VECTOR), "bad-vector"),
    ],
)
def test_what_would_only_come_back_is_told(topic: str, value: bytes | None, reason: str) -> None:
    with pytest.raises(EventError) as refused:
        WAY_BACK.of(dead(f"divrec.{topic}", value, "any", key=None), value)
    assert refused.value.reason == reason


def test_a_mapped_topic_is_decoded_as_its_worker_does() -> None:
    mapping = {"user": "who", "item": "lines[].sku"}
    way_back = WayBack(Config(topics={"clicks": {"name": "shop", "map": mapping}}))
    good = b'{"who": 1, "lines": [{"sku": "a"}, {"sku": "b"}]}'
    assert way_back.of(dead("shop", good, "ingest"), good).record.value == good
    with pytest.raises(EventError) as refused:
        way_back.of(dead("shop", b"{}", "ingest"), b"{}")
    assert refused.value.reason == "missing-field"
    assert not way_back.takes("divrec.clicks") and not way_back.takes("payments")


# -- newer items -------------------------------------------------------------------------------------------------------

versions = st.tuples(st.sampled_from("abc"), st.integers(0, 5), st.sampled_from(["e1", "e2"]))


def state(item: str, at: int, event_id: str) -> Record:
    return Record("catalog", 0, item.encode(), encode(Item(item_id=item, event_id=event_id)), [(TIMESTAMP, b"%d" % at)])


@given(st.lists(versions), st.lists(versions))
def test_the_newest_state_of_an_item_wins(held: list[tuple[str, int, str]], given: list[tuple[str, int, str]]) -> None:
    records = [state(*one) for one in held]
    times = ItemTimes(Message(r.topic, 0, n, 99, r.key, r.value, r.headers) for n, r in enumerate(records))
    known: dict[str, tuple[int, list[str]]] = {}
    for item, at, event_id in held:
        latest, ids = known.get(item, (-1, []))
        if at >= latest:
            known[item] = at, [*ids, event_id] if at == latest else [event_id]
    for item, at, event_id in given:
        latest, ids = known.get(item, (-1, []))
        taken = times.take(state(item, at, event_id))
        if at < latest:
            assert not taken
        elif at > latest:
            assert taken
        else:
            assert not taken or event_id in ids
        if taken:
            known[item] = at, [event_id]


def test_what_is_no_item_in_the_catalogue_counts_with_kafkas_time() -> None:
    times = ItemTimes(
        [Message("catalog", 0, 1, 50, b"a", None), Message("catalog", 0, 2, 50, b"b", b"{"), Message("c", 0, 3, 9)]
    )
    assert [times.take(state(item, 50, "e")) for item in "abc"] == [False, False, True]


# -- everything together -----------------------------------------------------------------------------------------------

REPAIR = """
import json, os, sys
value = sys.stdin.buffer.read()
assert os.environ["LETTER_STAGE"] in ("ingest", "encode"), os.environ["LETTER_STAGE"]
if b"hopeless" in value:
    sys.exit("hopeless")
sys.stdout.buffer.write(value.rstrip(b",") + b"}")
"""


class Stack:
    """Workers on topics of their own, and the commands."""

    def __init__(self, config: Config, directory: Path) -> None:
        self.config, self.topics = config, Topics(config)
        self.file = write(config, directory)
        (directory / "repair.py").write_text(REPAIR)
        self.repair = f"{PYTHON} {directory / 'repair.py'}"

    def redrive(self, *arguments: str, status: int = 0) -> dict[str, Any]:
        result = divrec("redrive", *arguments, "--json", "--config", self.file)
        assert result.exit_code == status, result.output
        found: dict[str, Any] = json.loads(result.stdout)
        return found

    def letters(self, count: int) -> list[Letter]:
        """All of them, when there are ``count``."""

        def letters(messages: list[Message]) -> list[Letter]:
            return [letter for letter in map(letter_of, messages) if letter is not None]

        return letters(read(self.config, self.topics.dead_letters, lambda found: len(letters(found)) >= count))

    def events(self, count: int) -> list[Any]:
        found = read(self.config, self.topics.events, lambda messages: len(messages) >= count)
        return [msgspec.json.decode(message.value or b"") for message in found]

    def applied(self, user: str, count: int) -> Any:
        """The profile, when it has seen ``count`` events; a little later it has still."""
        deadline = time.monotonic() + 30
        while (profile := stored_profiles(self.config, [user]).get(user)) is None or profile.events < count:
            assert time.monotonic() < deadline, profile
            time.sleep(0.05)
        return profile


@contextmanager
def stack(config: Config, directory: Path, *workers: str) -> Iterator[Stack]:
    with ExitStack() as running:
        for started in [running.enter_context(worker(config, f"streams.{n}", ready=False)) for n in workers]:
            started.wait_until(lambda started=started: started.ready)  # type: ignore[misc]
        yield Stack(config, directory)


@pytest.fixture
def encoding(broker: Broker, valkey: ValkeyServer, tmp_path: Path) -> Config:
    save_random_bert(tmp_path / "model", seed=1)
    encoder = {"model": str(tmp_path / "model"), "cache_dir": tmp_path / "cache"}
    return prepared(config_for(broker, valkey, tmp_path, encoder=encoder))


def killed_before_marking(config: Config, choice: Choice, monkeypatch: pytest.MonkeyPatch, **how: Any) -> None:
    """A redrive that dies when its letters are acknowledged and no marker is sent."""
    sent = Sender.send
    dead_letters = Topics(config).dead_letters

    def dying(self: Sender, records: Sequence[Record]) -> None:
        if records[0].topic == dead_letters:
            raise KeyboardInterrupt
        sent(self, records)

    with monkeypatch.context() as patch:
        patch.setattr(Sender, "send", dying)
        with pytest.raises(KeyboardInterrupt):
            redrive(config, choice, **how)


def test_letters_are_repaired_sent_back_and_applied_once(
    encoding: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, topics = encoding, Topics(encoding)
    review = encode(Review(user_id="ann", item_id="tea", text="the battery lasts two days"))
    event = encode(Click(user_id="ann", item_id="mug", event_id="misplaced", ts=TIME))
    wrong = (partition_of("ann", 4) + 1) % 4
    clicks = [Record(topics.clicks, 0, None, encode(Click(user_id="ann", item_id=f"i{n}", ts=TIME))) for n in range(3)]
    with stack(config, tmp_path, "ingest", "encode", "recommend") as running:
        send(
            config,
            [
                *clicks,
                Record(topics.clicks, 1, b"c", b'{"user_id":"ann","item_id":"pot",', [("trace", b"t")], TIME + 7),
                Record(topics.clicks, 1, b"h", b'{"user_id":"ann","hopeless":1,'),
                Record(topics.reviews, 0, b"r", review[:-1] + b","),
                Record(topics.events, wrong, b"ann", event),
            ],
        )
        assert {letter.reason for letter in running.letters(4)} == {"not-json", "wrong-partition"}
        profile = running.applied("ann", 3)

        # As they are, three would only come back; the event goes where it belongs.
        assert running.redrive("--all", "--dry-run", status=1)["sent"] == 1
        told = running.redrive("--all", status=1)
        assert (told["sent"], told["left"], told["would_fail"]) == (1, {"would_fail": 3}, {"not-json": 3})
        assert running.applied("ann", 4).items[-1] == "mug"

        # The process dies between the letters and their markers: they go twice and count once.
        repair = Repair(running.repair)
        killed_before_marking(config, Choice(reasons=frozenset(["not-json"])), monkeypatch, repair=repair)
        after = running.applied("ann", 6)
        told = running.redrive("--all", "--command", running.repair, status=1)
        assert (told["sent"], told["already_redriven"], told["left"]) == (2, 1, {"command": 1})
        events = running.events(3 + 1 + 1 + 2 + 2)
        again = running.redrive("--reason", "wrong-partition")
        assert (again["chosen"], again["already_redriven"], again["sent"]) == (1, 1, 0)
        again = running.redrive("--topic", "clicks", "--command", running.repair, status=1)
        assert (again["sent"], again["already_redriven"]) == (0, 1)
        send(config, [Record(topics.clicks, 0, None, encode(Click(user_id="ann", item_id="last", ts=TIME)))])
        profile = running.applied("ann", 7)
        assert sorted(profile.items) == sorted(["i0", "i1", "i2", "mug", "pot", "tea", "last"])
        assert profile.events == 7 and after.events == 6
    pots = [one for one in events if one["item_id"] == "pot"]
    (letter,) = [one for one in running.letters(4) if b"pot" in (one.message.value or b"")]
    assert {(one["event_id"], one["ts"]) for one in pots} == {(letter.source, TIME + 7)}, "its id and Kafka's time stay"
    assert len(running.letters(4)) == 4, "nothing came back"
    assert replica_of(config).engine.model.interactions == 7


class Encoder:
    """What the encode worker does with items, whenever it is told to."""

    def __init__(self, config: Config) -> None:
        self._config, self._topics = config, Topics(config)
        self._done: set[tuple[int, int]] = set()
        self._encoding = Encoding(config, "m")

    def run(self, count: int) -> None:
        """Take what is new in ``items``, when ``count`` came in all."""
        messages = read(self._config, self._topics.items, lambda found: len(found) >= count)
        assert len(messages) == count
        new = [message for message in messages if (message.partition, message.offset) not in self._done]
        send(self._config, [record for message in new for record in self._encoding.work(message).records(None)])
        self._done |= {(message.partition, message.offset) for message in new}

    def titles(self) -> dict[str, str]:
        """As a replica knows them."""
        catalog = replica_of(self._config).engine.catalog
        return {item.item_id: item.title for item in catalog.descriptions if item is not None}


def test_an_old_item_does_not_replace_a_newer_one(config: Config, tmp_path: Path) -> None:
    prepared(config)
    topics, running, encoder = Topics(config), Stack(config, tmp_path), Encoder(config)

    def item(at: int, title: str, name: str, cut: bool = False) -> Record:
        value = encode(Item(item_id=name, title=title))
        return Record(topics.items, 0, name.encode(), value[:-1] + b"," if cut else value, (), TIME + at)

    send(config, [item(0, "first", "tea"), item(1, "second", "tea", cut=True), item(2, "third", "tea")])
    send(config, [item(1, "a", "mug"), item(3, "b", "mug", cut=True), item(4, "c", "mug", cut=True)])
    send(config, [item(9, "new", "pot", cut=True)])
    encoder.run(7)
    assert encoder.titles() == {"tea": "third", "mug": "a"}
    told = running.redrive("--all", "--command", running.repair, status=1)
    assert (told["sent"], told["left"]) == (3, {"newer_item": 1})
    encoder.run(10)
    assert encoder.titles() == {"tea": "third", "mug": "c", "pot": "new"}
    # Once more, as if the markers had been lost: the very messages that the catalogue holds may come again.
    told = running.redrive("--all", "--again", "--command", running.repair, status=1)
    assert (told["sent"], told["left"]) == (2, {"newer_item": 2})
    encoder.run(12)
    assert encoder.titles() == {"tea": "third", "mug": "c", "pot": "new"}


def test_what_cannot_go_back_is_left_and_said(config: Config, tmp_path: Path) -> None:
    prepared(config)
    running, topics = Stack(config, tmp_path), Topics(config)
    click = encode(Click(user_id="u", item_id="i"))

    def record(topic: str, value: bytes, reason: str, stage: str = "ingest", offset: int = 0) -> Record:
        message = Message(topic, 0, offset, TIME, b"k", value, [("hostile\x1b[2J", b"\xff")])
        return dead_letter(topics.dead_letters, message, reason, "why", stage)._replace(partition=1)

    send(
        config,
        [
            record(topics.clicks, b"x" * 4_000_000, "too-large"),
            record("payments", click, "invalid", offset=1),
            record(topics.events, click, "no-slate", "recommend", 2),
            record(topics.clicks, b"\x1b[2J", "not-json", offset=3),
            record(topics.clicks, click, "invalid", offset=4),
            record(topics.clicks, click, "invalid", offset=4),
            Record(topics.clicks, 0, b"before", b"{}"),
        ],
    )
    told = running.redrive("--all", "--dry-run", status=1)
    assert (told["chosen"], told["sent"], told["already_redriven"], told["dry_run"]) == (6, 1, 1, True)
    assert told["left"] == {"no_value": 1, "unknown_topic": 1, "applied": 1, "would_fail": 1}
    assert running.redrive("1:4", "1:77", "9:9", status=1)["left"] == {"not_found": 2}
    assert running.redrive("1:4")["already_redriven"] == 1
    assert running.redrive("1:5")["already_redriven"] == 1, "a second letter of the same message"
    assert running.redrive("1:4", "--again")["sent"] == 1
    assert running.redrive("--topic", "clicks", "--limit", "1", status=1)["left"] == {"no_value": 1}

    shown = divrec("redrive", "--all", "--config", running.file)
    assert shown.exit_code == 1
    assert "already redriven" in shown.stdout and "left: the event was applied" in shown.stdout
    assert "payments" in shown.stderr and "\x1b" not in shown.output
    clicks = read_all(config, topics.clicks)[topics.clicks]
    assert sorted(m.value or b"" for m in clicks) == sorted([b"{}", click, click])


def test_a_record_that_kafka_does_not_take_does_not_hold_up_the_others(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(config)
    running, topics, sent = Stack(config, tmp_path), Topics(config), Sender.send
    letters = [
        dead_letter(topics.dead_letters, Message(topics.clicks, 0, n, TIME, b"k", value), "invalid", "why", "ingest")
        for n, value in enumerate(encode(Click(user_id=f"u{n}", item_id="i")) for n in range(3))
    ]
    send(config, letters)

    def refusing(self: Sender, records: Sequence[Record]) -> None:
        if any(b"u1" in (record.value or b"") for record in records):
            raise SendError("Kafka: MessageSizeTooLargeError")
        sent(self, records)

    monkeypatch.setattr(Sender, "send", refusing)
    told = running.redrive("--all", status=1)
    assert (told["sent"], told["left"]) == (2, {"not_taken": 1})
    monkeypatch.undo()
    told = running.redrive("--all")
    assert (told["sent"], told["already_redriven"]) == (1, 2)


def test_the_command_of_the_page_repairs() -> None:
    page = (Path(__file__).parents[2] / "docs" / "dead-letters.md").read_text("utf-8")
    (source,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    repair = Repair(shlex.join([PYTHON, "-c", source]))
    assert json.loads(repair(b'{"user_id": "u", "stars": 8}', {})) == {"user_id": "u", "rating": 4}
    with pytest.raises(Refused, match="not one of these"):
        repair(b"{}", {})


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "expected --all"),
        (("--all", "1:2"), "not both"),
        (("--all", "--reason", "x"), "not both"),
        (("1",), "PARTITION:OFFSET"),
        (("--all", "--command", "no-such-program-anywhere"), "--command"),
        (("--since", "yesterday"), "--since"),
    ],
)
def test_wrong_use_is_said(tmp_path: Path, arguments: tuple[str, ...], told: str) -> None:
    (tmp_path / "divrec.toml").write_text("")
    result = divrec("redrive", *arguments, "--config", tmp_path / "divrec.toml")
    assert (result.exit_code, told in result.stderr) == (2, True), result.stderr


def test_a_command_is_told_what_is_known() -> None:
    told = facts(dead("divrec.clicks", b"{", "ingest", key=b"\xffk"))
    assert told["LETTER_KEY"] == "\ufffdk"
    assert told["LETTER_SOURCE"] == told["LETTER_EVENT_ID"] == "divrec.clicks:1:5"
    assert (told["LETTER_REASON"], told["LETTER_STAGE"], told["LETTER_TOPIC"]) == ("invalid", "ingest", "divrec.clicks")
    assert told["LETTER_TIMESTAMP"] == str(TIME)
    assert Summary().complete
