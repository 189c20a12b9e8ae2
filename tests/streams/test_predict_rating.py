"""``divrec predict-rating`` as a command."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from streams.cli import app

MAP = "user=u,item=i,rating=r,ts=t"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Everybody agrees, but half of them turned round; ann has said of i0 … i3 which half she is of."""
    rows = [f"u{u},i{i},{9 if (u + i) % 2 else 1},{1_600_000_000 + 20 * u + i}" for u in range(40) for i in range(8)]
    rows += [f"ann,i{i},{9 if i % 2 else 1},{1_700_000_000 + i}" for i in range(4)]
    path = tmp_path / "log.csv"
    path.write_text("u,i,r,t\n" + "\n".join(rows) + "\n")
    (tmp_path / "items.csv").write_text("i,title\n" + "\n".join(f"i{n},Film {n}" for n in range(8)) + "\n")
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["predict-rating", *map(str, arguments)], env={"COLUMNS": "100"})


def test_who_speaks(log: Path) -> None:
    items = ("--items", log.parent / "items.csv", "--items-map", "item=i,title=title")
    done = run(log, "--map", MAP, *items, "--user", "ann", "--item", "i5")
    assert done.exit_code == 0, done.output
    assert "of 1 to 9 for i5  Film 5" in done.output
    assert "i1  Film 1" in done.output and "user cosine plain" in done.output
    assert "i2" not in done.output, "an item of the opposite taste is no neighbour"


def test_json(log: Path) -> None:
    liked, disliked = (
        json.loads(run(log, "--map", MAP, "--user", "ann", "--item", item, "--json").stdout) for item in ("i5", "i6")
    )
    assert 1 <= disliked["rating"] < 4 < 6 < liked["rating"] <= 9
    assert {n["item_id"] for n in liked["neighbours"]} == {"i1", "i3"}
    assert all(n["rating"] == 9 and n["moves"] > 0 for n in liked["neighbours"])
    assert liked["user_known"] and liked["item_known"]


def test_nobody_and_nothing(log: Path) -> None:
    done = run(log, "--map", MAP, "--user", "nobody", "--item", "nothing", "--json")
    told = json.loads(done.stdout)
    assert not told["user_known"] and not told["item_known"] and told["neighbours"] == []
    assert told["rating"] == pytest.approx(5, abs=1)


def test_a_log_without_ratings(log: Path) -> None:
    done = run(log, "--map", "user=u,item=i,ts=t", "--user", "ann", "--item", "i5")
    assert done.exit_code == 2
    assert "expected ratings, found none" in done.output
