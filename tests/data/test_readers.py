import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from divrec.data.log import Log, open_log
from divrec.errors import ConfigError
from divrec.events import MAX_MESSAGE_BYTES, Click, Item, Request, Review

RATINGS = {"user": "user_id", "item": "item_id", "rating": "rating", "ts": "timestamp"}
Write = Callable[[str, bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, data: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write


def side_file(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_our_own_events_of_several_kinds(write: Write, tmp_path: Path) -> None:
    lines = [
        b'{"kind": "click", "user_id": "u", "item_id": "i", "ts": 3}',
        b'{"kind": "item", "item_id": "i", "title": "T"}\r',
        b"",
        b'{"kind": "review", "user_id": "u", "item_id": "i", "text": "t", "ts": 1}',
        b'{"kind": "request", "user_id": "u", "ts": 2}',
        b'{"kind": "forget", "user_id": "u"}',
        b'{"user_id": "u", "item_id": "i"}',
        b'{"kind": "click", "user_id": "u", "item_id": "i", "rating": 7}',
        b"\xff\xfe",
        b'{"kind": "click", "user_id": "u", "item_id": "' + b"x" * MAX_MESSAGE_BYTES + b'"}',
        b'{"kind": "click", "user_id": "u", "item_id": "last", "ts": 4}',
    ]
    path = write("log.jsonl", b"\xef\xbb\xbf" + b"\n".join(lines))
    side = tmp_path / "bad.jsonl"
    with open_log([path], rejects=side) as log:
        assert list(log.items()) == [Item(item_id="i", title="T")]
        expected = [
            Review(user_id="u", item_id="i", text="t", ts=1),
            Request(user_id="u", ts=2),
            Click(user_id="u", item_id="i", ts=3),
            Click(user_id="u", item_id="last", ts=4),
        ]
        assert list(log.events()) == expected
        assert list(log.events()) == expected
        assert log.rejected == {"invalid": 2, "bad-rating": 1, "not-json": 1, "too-large": 1}
    bad = side_file(side)
    assert [(record["line"], record["reason"]) for record in bad] == [
        (6, "invalid"),
        (7, "invalid"),
        (8, "bad-rating"),
        (9, "not-json"),
        (10, "too-large"),
    ]
    assert bad[0]["original"] == lines[5].decode() + "\n"
    assert bad[3]["original_base64"]
    assert bad[0]["file"] == str(path)


@pytest.mark.parametrize("name", ["log.csv", "log.csv.gz", "log.tsv", "log.inter"])
@pytest.mark.parametrize(
    "header", ["user_id,item_id,rating,timestamp", "user_id:token,item_id:token,rating:float,timestamp"]
)
def test_tables(write: Write, name: str, header: str) -> None:
    text = f"\ufeff{header}\r\n1,2,4.0,1714557601\r\n\r\n3,4,,1714557600.0\r\n"
    if ".csv" not in name:
        text = text.replace(",", "\t")
    log = open_log([write(name, text.encode())], map=RATINGS)
    assert list(log.events()) == [
        Click(user_id="3", item_id="4", ts=1_714_557_600_000),
        Click(user_id="1", item_id="2", rating=4.0, ts=1_714_557_601_000),
    ]
    assert list(log.items()) == []
    assert log.rejected == {}


def test_bad_rows_of_a_table_do_not_stop_it(write: Write, tmp_path: Path) -> None:
    data = (
        b"user_id,item_id,rating,timestamp\n"
        b"1,2,4,10\n"
        b"1,2,4\n"  # short
        b"1,2,4,soon\n"
        b"1,2,11,10\n"
        b',"2\n2",4,\n'  # no user, and a line end within quotes
        b'1,"2"2,4,10\n'  # broken quotes
        b"1,\xff,4,10\n"
        b"1," + b"x" * (MAX_MESSAGE_BYTES + 10) + b",4,10\n"
        b"1,3,4,20\n"
        b'1,"3,4,20\n'  # quotes that never end
    )
    side = tmp_path / "bad.jsonl"
    with open_log([write("log.csv", data)], map=RATINGS, rejects=side) as log:
        assert [event.ts for event in log.events()] == [10_000, 20_000]
    expected = ["bad-row", "bad-time", "bad-rating", "missing-field", "bad-row", "bad-encoding", "too-large", "bad-row"]
    bad = side_file(side)
    assert [record["reason"] for record in bad] == expected
    assert bad[3]["original"] == ',"2\n2",4,\n'
    assert [record["line"] for record in bad] == [3, 4, 5, 7, 8, 9, 10, 12]
    assert sum(log.rejected.values()) == len(bad)


def test_quotation_marks_in_a_tab_separated_file_are_text(write: Write) -> None:
    path = write("items.tsv", b'id\ttitle\n1\t"Crocodile" Dundee\n2\t"\n3\tx\n')
    log = open_log([], items=[path], items_map={"item": "id", "title": "title"})
    assert [item.title for item in log.items()] == ['"Crocodile" Dundee', '"', "x"]


def test_json_lines_with_a_mapping(write: Write) -> None:
    path = write("log.jsonl.gz", b'{"a": {"u": 1}, "s": "x", "body": "Good."}\n[1]\n{"a": {"u": 1}, "s": "y"}\n')
    products = write("products.jsonl", b'{"s": "x", "name": "X"}\n{"name": "none"}\n')
    columns = {"user": "a.u", "item": "s", "text": "body", "title": "name"}
    log = open_log([path], map=columns, items=[products])
    assert list(log.events()) == [
        Review(user_id="1", item_id="x", text="Good."),
        Click(user_id="1", item_id="y"),
    ]
    assert list(log.items()) == [Item(item_id="x", title="X")]
    assert log.rejected == {"invalid": 1, "missing-field": 1}


def test_a_damaged_file_gives_what_can_be_read(tmp_path: Path) -> None:
    lines = b"".join(b'{"kind": "click", "user_id": "%d", "item_id": "i"}\n' % (i * i) for i in range(200_000))
    whole = gzip.compress(lines, 1)
    (tmp_path / "cut.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "whole.jsonl").write_bytes(b'{"kind": "click", "user_id": "whole", "item_id": "i"}\n')
    log = open_log([tmp_path / "cut.jsonl.gz", tmp_path / "whole.jsonl"])
    users = [event.user_id for event in log.events()]
    assert users[-1] == "whole"
    assert 50_000 < len(users) < 150_000
    assert log.rejected == {"damaged-file": 1}


@pytest.mark.parametrize(
    ("name", "data", "columns", "says"),
    [
        ("log.csv", b"a,b\n1,2\n", None, "needs a mapping or a preset"),
        ("log.csv", b"a,b\n1,2\n", {"user": "a", "item": "c"}, "no column c; it has a, b"),
        ("log.csv", b"", {"user": "a", "item": "c"}, "no column"),
        ("log.csv", b"a,b\n1,2\n", {"user": "a"}, "item_id"),
        ("log.xlsx", b"", {"user": "a", "item": "b"}, "expected a name ending in"),
        ("log.xlsx", b"", None, "needs a mapping|expected a name ending in"),
    ],
)
def test_what_cannot_be_read_is_said_at_once(
    write: Write, name: str, data: bytes, columns: dict[str, str] | None, says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        open_log([write(name, data)], map=columns)


def test_files_and_presets_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="found none"):
        open_log([tmp_path / "none.jsonl"])
    with pytest.raises(ConfigError, match="expected one of movielens"):
        open_log([tmp_path], preset="netflix")
    with pytest.raises(ConfigError, match="holds no"):
        open_log([tmp_path], preset="movielens")
    with pytest.raises(ConfigError, match="both"):
        open_log([tmp_path], preset="movielens", map=RATINGS)
    (tmp_path / "log.csv.gz").write_bytes(b"user_id,item_id\n")
    with pytest.raises(ConfigError, match="header"):
        open_log([tmp_path / "log.csv.gz"], map=RATINGS)


def test_progress_adds_up_to_the_bytes_of_the_files(write: Write) -> None:
    click = b'{"kind": "click", "user_id": "u", "item_id": "i"}\n'
    told: list[int] = []
    log: Log = open_log([write("a.jsonl.gz", click * 5_000), write("b.jsonl", click * 2_500)], progress=told.append)
    assert sum(1 for _ in log.items()) == 0
    assert sum(1 for _ in log.events()) == 7_500
    assert sum(told) == log.total_bytes
    assert len(told) > 10
