"""``divrec predict-rating --text`` as a command."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from streams.cli import app

GOOD = ["a joy to use", "works well", "很好用", "喜欢"]
BAD = ["broke at once", "waste of money", "太差了", "退货"]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Sorted by rating, as such files often are: learned in that order, the last would be all that is known."""
    (tmp_path / "divrec.toml").write_text(f'[encoder]\nmodel = "ngrams-64"\ncache_dir = "{tmp_path}"\n')
    rows = [f"{text} {n},{rating}" for rating, texts in ((9, GOOD), (1, BAD)) for n in range(20) for text in texts]
    path = tmp_path / "log.csv"
    path.write_text("text,r\n" + "\n".join(rows) + "\n")
    return path


def run(log: Path, *arguments: object) -> Result:
    config = ("--config", log.parent / "divrec.toml")
    return CliRunner().invoke(app, ["predict-rating", str(log), *map(str, (*arguments, *config))])


def test_what_is_said(log: Path) -> None:
    done = run(log, "--map", "text=text,rating=r", "--text", "what a joy, and it works well")
    assert done.exit_code == 0, done.output
    assert "of 1 to 9, give or take" in done.stdout
    assert "sure that the rating is 7 or more" in done.stdout
    assert "language: en; learned from 160 reviews" in done.stdout


def test_json(log: Path) -> None:
    liked, disliked = (
        json.loads(run(log, "--map", "text=text,rating=r", "--text", text, "--json").stdout)
        for text in ("很好用,喜欢", "太差了,退货")
    )
    assert disliked["rating"] < 3 < 7 < liked["rating"]
    assert disliked["likes"] < 0.3 and liked["likes"] > 0.7
    assert liked["language"] == "zh" and liked["scale"] == [1, 9] and liked["reviews"] == 160


def test_true_and_false(log: Path) -> None:
    log.write_text(log.read_text().replace(",9", ",true").replace(",1\n", ",false\n"))
    told = json.loads(run(log, "--map", "text=text,rating=r", "--text", "works well", "--json").stdout)
    assert told["scale"] == [0, 1] and 0.7 < told["rating"] <= 1


def test_without_ratings(log: Path) -> None:
    done = run(log, "--map", "text=text", "--text", "good")
    assert done.exit_code == 2
    assert "expected reviews with a text and a rating, found none" in done.output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--text", "good", "--item", "i"), "instead of --item, got both"),
        (("--user", "u"), "expected --user and --item, or --text"),
    ],
)
def test_one_or_the_other(log: Path, arguments: tuple[str, ...], told: str) -> None:
    done = run(log, "--map", "text=text,rating=r", *arguments)
    assert done.exit_code == 2
    assert told in done.output
