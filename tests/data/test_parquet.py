"""Parquet logs: the same events as from CSV, whatever their types."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from divrec.data.log import Log, open_log
from divrec.data.parquet import BATCH
from divrec.errors import ConfigError
from divrec.events import Click, Item

MAP = {"user": "who", "item": "what", "rating": "stars", "ts": "when", "text": "words"}
TIME = datetime(2024, 5, 1, 10, 0, 0, 250_000, tzinfo=UTC)
MS = 1_714_557_600_250


def written(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=5_000)
    return path


def test_it_gives_the_events_of_the_same_csv(tmp_path: Path) -> None:
    rows = [(f"u{n % 9}", n % 40, n % 5 + 1, 1_700_000_000 + n, "fine" if n % 7 == 0 else None) for n in range(20_000)]
    who, what, stars, when, words = map(list, zip(*rows, strict=True))
    table = written(tmp_path / "log.parquet", who=who, what=what, stars=stars, when=when, words=words, more=who)
    text = tmp_path / "log.csv"
    text.write_text(
        "\n".join(["who,what,stars,when,words", *(",".join("" if c is None else str(c) for c in row) for row in rows)])
    )
    steps: list[int] = []
    with open_log([table], map=MAP, progress=steps.append) as log, open_log([text], map=MAP) as other:
        assert list(log.events()) == list(other.events())
        assert sum(steps) == log.total_bytes and len(steps) > len(rows) // BATCH
        assert not log.rejected


@pytest.mark.parametrize(
    ("when", "stands"),
    [
        (pa.array([TIME], pa.timestamp("ns", "Asia/Tokyo")), MS),
        (pa.array([TIME.replace(tzinfo=None)], pa.timestamp("ms")), MS),
        (pa.array([TIME.replace(tzinfo=None)], pa.timestamp("us")), MS),
        (pa.array([datetime(1971, 1, 1)], pa.timestamp("s")), 31_536_000_000),
        (pa.array([date(2024, 5, 1)], pa.date32()), 1_714_521_600_000),
        (pa.array([MS], pa.int64()), MS),
        (pa.array([None], pa.timestamp("us")), 0),
        (pa.array(["2024-05-01T10:00:00.25Z"]), MS),
    ],
)
def test_times_of_every_type(tmp_path: Path, when: pa.Array, stands: int) -> None:
    path = written(tmp_path / "log.pq", who=["u"], what=[5], stars=pa.array([Decimal("4.5")]), when=when, words=[""])
    (event,) = open_log([path], map=MAP).events()
    assert event == Click(user_id="u", item_id="5", rating=4.5, ts=stands)


def test_dots_reach_into_structs(tmp_path: Path) -> None:
    nested = [{"id": "u", "at": TIME.replace(tzinfo=None)}, None]
    path = written(tmp_path / "log.parquet", buyer=nested, **{"line.sku": ["a", "b"]}, tags=[["x", "y"], None])
    with open_log([path], map={"user": "buyer.id", "item": "line.sku", "ts": "buyer.at"}) as log:
        assert list(log.events()) == [Click(user_id="u", item_id="a", ts=MS)]
        assert log.rejected == {"missing-field": 1}
    with open_log([], items=[path], items_map={"item": "line.sku", "categories": "tags"}) as log:
        assert list(log.items()) == [Item(item_id="a", categories=["x", "y"]), Item(item_id="b")]


def test_bad_rows_are_counted_and_kept(tmp_path: Path) -> None:
    path = written(tmp_path / "l.parquet", who=["u", None, "w"], what=["a", "b", "c"], stars=[9.0, 1.0, 2.0])
    columns = {"user": "who", "item": "what", "rating": "stars"}
    with open_log([path], map=columns, rejects=tmp_path / "bad.jsonl") as log:
        assert [event.user_id for event in log.events()] == ["w"]
        assert [event.user_id for event in log.events()] == ["w"]
        assert log.rejected == {"bad-rating": 1, "missing-field": 1}
    first, second = map(json.loads, (tmp_path / "bad.jsonl").read_text().splitlines())
    assert (first["line"], first["reason"]) == (1, "bad-rating")
    assert json.loads(second["original"]) == {"who": None, "what": "b", "stars": 1.0}


def test_what_cannot_be_read_is_said_before_it_is(tmp_path: Path) -> None:
    path = written(tmp_path / "log.parquet", who=["u"], what=["a"])
    with pytest.raises(ConfigError, match=r"no column stars\.value, when; it has who, what"):
        open_log([path], map={"user": "who", "item": "what", "ts": "when", "rating": "stars.value"})
    with pytest.raises(ConfigError, match="needs a mapping"):
        open_log([path])
    (tmp_path / "no.parquet").write_bytes(b"PAR1 and nothing more")
    with pytest.raises(ConfigError, match="expected a Parquet file"):
        open_log([tmp_path / "no.parquet"], map={"user": "who", "item": "what"})
    path.rename(tmp_path / "log.parquet.gz")
    with pytest.raises(ConfigError, match="but for Parquet"):
        open_log([tmp_path / "log.parquet.gz"], map={"user": "who", "item": "what"})


def test_a_damaged_file_ends_where_it_is_damaged(tmp_path: Path) -> None:
    rows = 30_000
    path = written(tmp_path / "log.parquet", who=[f"user {n}" for n in range(rows)], what=list(range(rows)))
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 2_000] = bytes(2_000)
    path.write_bytes(data)
    log: Log
    with open_log([path], map={"user": "who", "item": "what"}) as log:
        assert 0 < sum(1 for _ in log.events()) < rows
        assert log.rejected == {"damaged-file": 1}
