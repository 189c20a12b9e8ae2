"""``divrec evaluate`` as a command."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from streams.cli import app

T0 = 1_600_000_000
MAP = "user=u,item=i,rating=r,ts=t"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    random = np.random.default_rng(5)
    rows = [f"u{random.integers(20)},i{random.integers(40)},{random.integers(1, 11) / 2},{T0 + n}" for n in range(600)]
    path = tmp_path / "log.csv"
    path.write_text("u,i,r,t\n" + "\n".join(rows) + "\n")
    films = [f"i{n},{'drama' if n % 2 else 'comedy'}|all" for n in range(40)]
    (tmp_path / "items.csv").write_text("i,c\n" + "\n".join(films) + "\n")
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)], env={"COLUMNS": "100"})


def test_figures_and_page(log: Path) -> None:
    out, page = log.parent / "out.json", log.parent / "page.html"
    items = ("--items", log.parent / "items.csv", "--items-map", "item=i,categories=c")
    done = run(log, "--map", MAP, *items, "--json", out, "--report", page)
    assert done.exit_code == 0, done.output
    assert "positive: rating >= 4" in done.output and "decayed-popularity" in done.output
    told = json.loads(out.read_text())
    assert 300 < told["events"] <= 600 and 0 < told["tested"] < told["events"]
    assert list(told["models"]) == ["divrec", "divrec-slate", "popularity", "decayed-popularity", "item-item"]
    assert {"ndcg@10", "hr@10", "mrr@10", "precision@10", "recall@10", "f1@10", "last_third", "user_coverage"} <= set(
        told["models"]["divrec"]
    )
    popular = told["models"]["popularity"]
    assert popular["cpu_us_recommend"] > 0 and popular["cpu_us_learn"] > 0
    assert set(popular["against_divrec"]["ndcg@10"]) == {"difference", "low", "high"}
    assert {"ild_categories", "calibration", "novelty", "gini"} <= set(popular)
    text = page.read_text()
    assert "decayed-popularity" in text and "Plotly.newPlot" in text
    assert 'src="http' not in text, "the page needs nothing from elsewhere"


def test_the_same_figures_twice(log: Path) -> None:
    out = log.parent / "out.json"
    found = []
    for _ in range(2):
        assert run(log, "--map", MAP, "--models", "divrec,popularity", "--limit", 200, "--json", out).exit_code == 0
        told = json.loads(out.read_text())
        assert told["events"] == 200
        for model in told["models"].values():
            for name in ("cpu_us_learn", "cpu_us_recommend", "cpu_us_rate"):
                model.pop(name, None)
        found.append(told)
    assert found[0] == found[1]


def test_repeats(log: Path) -> None:
    done = run(log, "--map", "user=u,item=i,ts=t", "--repeats", "--models", "most-bought,popularity")
    assert done.exit_code == 0 and "600 events" in done.output and "positive: every event" in done.output


def test_bad_lines_are_counted(log: Path) -> None:
    with log.open("a") as file:
        file.write("u1,i1,good,1\n")
    done = run(log, "--map", MAP, "--models", "popularity")
    assert done.exit_code == 0 and "1 bad lines left out: 1 bad-rating" in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--models", "magic"), "--models: expected some of divrec"),
        (("--models", "most-bought"), "needs --repeats"),
        (("--positive", "applause"), "--positive: expected a rating or some of impression"),
        (("--positive", "purchase"), "found none with one of the actions purchase"),
        (("--json", "/nowhere/out.json"), "expected an existing directory"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(log: Path, arguments: tuple[str, ...], message: str) -> None:
    done = run(log, "--map", MAP, *arguments)
    assert done.exit_code == 2 and message in done.output and "Traceback" not in done.output
