"""Dead letters listed, chosen and shown, whatever strangers wrote into them."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from divrec.config import Config
from divrec.errors import ConfigError
from streams.client.dead_letters import Choice, Letter, Markers, Place, is_marker, letter_of, place_of
from streams.client.printable import hex_lines, printable
from streams.codec import MAX_RECORD_BYTES, Message, Record, dead_letter
from streams.commands.dead_letters import _list, _plain, _put, _show, _whole
from streams.topics import Topics
from tests.streams.running import prepared, read, send
from tests.streams.test_cli import divrec, write

TIME = 1_700_000_000_000
HOSTILE = b"\x1b]0;owned\x07\x1b[2J\xc2\x9b31m\x7f\r\xe2\x80\xae [bold]x[/] :smile:"

texts = st.text(st.characters(codec=None, exclude_categories=()), max_size=60)
data = st.binary(max_size=80) | st.text(max_size=40).map(str.encode) | st.just(HOSTILE)
json_data = st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5).map(
    lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
)


def letter(offset: int = 0, value: bytes | None = b"{", partition: int = 0, **about: Any) -> Letter:
    source = Message(about.get("topic", "clicks"), 3, about.get("source", offset), TIME, about.get("key", b"k"), value)
    record = dead_letter("dead", source, about.get("reason", "not-json"), about.get("detail", "why"), "ingest", None)
    ours = Message("dead", partition, offset, about.get("at", TIME + 1), record.key, record.value, record.headers)
    found = letter_of(ours)
    assert found is not None
    return found


@given(texts)
@example("\x1b[2J\x9b\x7f\u202e\u200b\ud800\r\n\t\u2028")
def test_what_is_printed_obeys_nobody(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert printable(shown) == shown
    assert (shown == text) == text.isprintable()
    shown.encode()  # no lone surrogate is left


def test_visible_text_stays_as_it_is() -> None:
    for text in ("", "plain", "naïve 电池 été 🙂 [bold] \\n", "a b"):
        assert printable(text) == text
    assert printable("a\x1b[0m\n\u202eb") == r"a\x1b[0m\n\u202eb"


@given(st.binary(max_size=100), st.integers(1, 100))
def test_bytes_are_shown_in_hexadecimal(value: bytes, limit: int) -> None:
    lines = hex_lines(value, limit)
    assert bytes.fromhex("".join(line[10:57] for line in lines)) == value[:limit]
    assert all(line.isprintable() and line.isascii() for line in lines)


@given(
    st.builds(
        Message,
        st.just("dead"),
        st.just(0),
        st.just(7),
        st.integers(0, 2**62),
        st.none() | data,
        st.none() | data | json_data,
        st.lists(
            st.tuples(
                st.sampled_from(["divrec-reason", "divrec-detail", "divrec-topic", "divrec-offset", "x\x1b[1m", "é"]),
                st.none() | data,
            ),
            max_size=6,
        ),
    )
)
def test_no_letter_drives_the_terminal(message: Message) -> None:
    found = Letter(message)
    output, raw = io.StringIO(), io.TextIOWrapper(io.BytesIO())
    with contextlib.redirect_stdout(output):
        _show(found, None)
        _list(Listed([found]), 10, False)  # type: ignore[arg-type]
    assert all(line.isprintable() for line in output.getvalue().split("\n"))
    with contextlib.redirect_stdout(raw):
        _put({**_plain(found, 5), **_whole(message)})
    raw.seek(0)
    line = raw.read()
    assert json.loads(line)["at"] == "0:7"
    assert line.isascii() and line.removesuffix("\n").isprintable()


class Listed(list[Letter]):
    """Letters as if they had been read."""

    markers = Markers()

    @property
    def count(self) -> int:
        return len(self)


@pytest.mark.parametrize(
    ("user", "key", "value", "fits"),
    [
        ("u1", b"u1", b"\xff", True),
        ("u1", b"x", b'{"who": {"ids": ["u1"]}}', True),
        ("41", None, b'{"customer": {"id": 41}}', True),
        ("1", None, b'{"customer": {"flag": true, "share": 1.5}}', False),
        ("u1", None, b'{"user_id": "u1", ', True),
        ("u1", None, b'{"user_id": "u11", ', False),
        ("u1", None, None, False),
        ("u1", None, b"[" * 5_000, False),
        ("9" * 300, None, b"9" * 5_000, False),
    ],
)
def test_a_user_is_found_by_key_or_value(user: str, key: bytes | None, value: bytes | None, fits: bool) -> None:
    assert Choice(user=user).fits(letter(value=value, key=key)) is fits


@pytest.mark.parametrize("text", ["", "1", "1:", ":1", "a:b", "-1:2", "1:2:3", "²:1", "1:" + "9" * 30])
def test_what_is_no_place_is_said(text: str) -> None:
    with pytest.raises(ConfigError, match="PARTITION:OFFSET"):
        place_of(text)


def test_the_header_of_a_marker_in_a_message_makes_no_marker() -> None:
    source = Message("clicks", 0, 4, TIME, None, None, [("divrec-redriven", b"0:1")])
    record = dead_letter("dead", source, "empty", "no value", "ingest")
    forged = Message("dead", 0, 2, TIME, record.key, record.value, record.headers)
    assert letter_of(forged) is not None and not is_marker(forged)


def test_a_marker_stands_for_its_letter_and_for_older_ones_of_the_same_message() -> None:
    markers, first = Markers(), letter(5)
    marker = first.marker("dead")
    assert (marker.partition, marker.key, marker.value) == (0, None, None)
    as_read = Message("dead", 0, 9, TIME + 100, None, None, marker.headers)
    assert is_marker(as_read) and letter_of(as_read) is None
    markers.add(as_read)
    assert markers.redriven(first) == TIME + 100
    assert markers.redriven(letter(2, partition=3, source=5)) == TIME + 100, "written twice, after a crash"
    assert markers.redriven(letter(3, partition=3, source=5, at=TIME + 101)) is None, "of a topic that was made anew"
    assert markers.redriven(letter(6)) is None


def test_a_value_that_was_left_out_is_told() -> None:
    assert letter(value=b"x" * MAX_RECORD_BYTES).lacks_value
    assert not letter(value=None).lacks_value


@pytest.fixture
def file(config: Config, tmp_path: Path) -> Path:
    """Three kinds of letters, one of which was redriven."""
    prepared(config)
    topics = Topics(config)

    def dead(topic: str, offset: int, reason: str, value: bytes | None, stage: str) -> Record:
        about = Message(topic, 1, offset, TIME + offset, b"k%d" % offset, value, [("trace", HOSTILE)])
        return dead_letter(topics.dead_letters, about, reason, f"line\nwhy {offset}", stage, f"e{offset}")

    letters = [
        dead(topics.clicks, 1, "not-json", b'{"user_id": "u1", ' + HOSTILE, "ingest"),
        dead(topics.clicks, 2, "invalid", b'{"user_id":"u2","item_id":""}', "ingest"),
        dead(topics.events, 3, "poisoned", b'{"kind":"click","user_id":"u3","item_id":"i"}', "recommend"),
        dead(topics.clicks, 4, "invalid", b"\xff\xfe\x00", "ingest"),
    ]
    send(config, [record._replace(partition=n % 2) for n, record in enumerate(letters)])
    found = read(config, topics.dead_letters, lambda messages: len(messages) >= 4)
    (poisoned,) = [one for one in map(letter_of, found) if one is not None and one.reason == "poisoned"]
    send(config, [poisoned.marker(topics.dead_letters), Record(topics.dead_letters, 2, b"foreign", b"no letter")])
    return write(config, tmp_path)


def listed(*arguments: str | Path) -> list[dict[str, Any]]:
    result = divrec("dead-letters", "--json", *arguments)
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_letters_are_listed_counted_and_shown(file: Path, config: Config) -> None:
    topics = Topics(config)
    rows = listed("--config", file)
    assert sorted((row["reason"], row["event_id"], row["redriven"] is not None) for row in rows) == [
        ("invalid", "e2", False),
        ("invalid", "e4", False),
        ("not-json", "e1", False),
        ("poisoned", "e3", True),
    ]
    assert {row["at"] for row in rows} == {"0:0", "0:1", "1:0", "1:1"}
    for options, ids in [
        (("--reason", "invalid"), ["e2", "e4"]),
        (("--reason", "invalid", "--reason", "poisoned"), ["e2", "e3", "e4"]),
        (("--stage", "recommend"), ["e3"]),
        (("--topic", "clicks", "--reason", "not-json"), ["e1"]),
        (("--topic", topics.events), ["e3"]),
        (("--user", "u2"), ["e2"]),
        (("--event-id", "e4"), ["e4"]),
        (("--since", "2040-01-01"), []),
        (("--since", "2020-01-01"), ["e1", "e2", "e3", "e4"]),
    ]:
        assert sorted(row["event_id"] for row in listed(*options, "--config", file)) == ids
    latest = listed("--limit", "1", "--config", file)
    assert len(latest) == 1 and latest[0]["time"] == rows[-1]["time"]
    counts = {(row["reason"], row["letters"], row["redriven"]) for row in listed("--count", "--config", file)}
    assert counts == {("invalid", 2, 0), ("not-json", 1, 0), ("poisoned", 1, 1)}

    table = divrec("dead-letters", "--config", file).stdout
    assert all(text in table for text in ("not-json", "why 1", f"{topics.clicks}:1:4", "recommend", "0:1"))
    assert "1" in divrec("dead-letters", "--count", "--config", file).stdout

    hostile = next(row["at"] for row in rows if row["event_id"] == "e1")
    shown = divrec("dead-letters", "show", hostile, "--config", file)
    assert shown.exit_code == 0 and all(line.isprintable() for line in shown.stdout.split("\n"))
    assert r"\x1b]0;owned\x07" in shown.stdout and "trace" in shown.stdout and "[bold]x[/]" in shown.stdout
    whole = json.loads(divrec("dead-letters", "show", hostile, "--json", "--config", file).stdout)
    assert whole["value"].encode() == b'{"user_id": "u1", ' + HOSTILE
    pretty = next(row["at"] for row in rows if row["event_id"] == "e3")
    assert '  "item_id": "i"' in divrec("dead-letters", "--config", file, "show", pretty).stdout
    raw = next(row["at"] for row in rows if row["event_id"] == "e4")
    assert "ff fe 00" in divrec("dead-letters", "show", raw, "--config", file).stdout
    for place in ("2:0", "7:1", "0:99"):  # no letter, no partition, nothing
        missing = divrec("dead-letters", "show", place, "--config", file)
        assert (missing.exit_code, "found none" in missing.stderr) == (2, True)


def test_tail_tells_letters_and_markers_apart(file: Path) -> None:
    tail = ("tail", "dead-letters", "--from", "start", "--limit", "6", "--config", file)
    shown = divrec(*tail).stdout
    assert all(line.isprintable() for line in shown.split("\n"))
    assert [line.startswith("redriven 0:1  ") for line in shown.splitlines()].count(True) == 1
    rows = [json.loads(line) for line in divrec(*tail, "--json").stdout.splitlines()]
    assert sorted(row["event_id"] for row in rows if row.get("reason")) == ["e1", "e2", "e3", "e4"]
    assert [(row["redriven"], row["event_id"]) for row in rows if row.get("redriven")] == [("0:1", "e3")]


def test_a_place_is_read_as_it_is_written() -> None:
    assert place_of("2:15") == Place(2, 15)
    assert str(Place(2, 15)) == "2:15"
