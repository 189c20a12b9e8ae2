"""Tiny models that truly learn: from made texts, into directories that the encoder reads."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from divrec.config import EncoderConfig
from divrec.errors import ConfigError
from divrec.text.e5 import packaged_weights, unpacked
from divrec.text.encoder import load_encoder, names_model
from divrec.training.split import by_time
from streams.cli import app

WORDS = {1: "awful broken late useless poor", 5: "great lovely fast useful fine"}
MODEL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two random layers under the tokenizer of the packaged model, whose name asks for the prefix."""
    import shutil

    import torch
    from transformers import BertConfig, BertModel

    source = packaged_weights()
    assert source is not None
    whole = unpacked(source, EncoderConfig().cache_dir.expanduser() / "models")
    directory = tmp_path_factory.mktemp("models") / "small-e5"
    torch.manual_seed(1)
    BertModel(BertConfig(vocab_size=250_037, pad_token_id=1, initializer_range=0.1, **MODEL)).save_pretrained(directory)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(whole / name, directory / name)
    return directory


def reviews(path: Path, count: int = 240) -> Path:
    random = np.random.default_rng(0)
    rows = ["stars,about,when"]
    for number in range(count):
        stars = int(random.choice([1, 5]))
        said = " ".join(random.choice(WORDS[stars].split(), 3))
        rows.append(f"{stars},{said} thing number {number},{1_000 + number}")
    path.write_text("\n".join(rows) + "\n")
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["train", *map(str, arguments)])


def test_mlm_learns_to_guess(small: Path, tmp_path: Path) -> None:
    lines, out = tmp_path / "lines.txt", tmp_path / "read-on"
    random = np.random.default_rng(0)
    about = [said.split() for said in ("fox owl cat dog hen", "red blue green pink grey", "one two three four five")]
    lines.write_text("".join(" ".join(random.choice(about[n % 3], 8)) + "\n" for n in range(300)))
    options = ("--from", small, "--epochs", 10, "--rate", 1e-2)
    done = run("mlm", lines, "--out", out, *options)
    assert done.exit_code == 0, done.output
    results = json.loads((out / "results.json").read_text())
    losses = [epoch["valid_loss"] for epoch in results["epochs"]]
    assert min(losses[1:]) < results["data"]["valid_loss_of_frequencies"] - 0.3 < losses[0]
    assert results["epochs"][results["best"]]["valid_loss"] == min(losses)


def test_rating_learns_what_can_be_told_apart(small: Path, tmp_path: Path) -> None:
    log, out = reviews(tmp_path / "reviews.csv"), tmp_path / "stars"
    options = ("--map", "text=about,rating=stars,ts=when", "--from", small, "--frozen", 0, "--rate", 5e-3)
    done = run("rating", log, "--out", out, *options, "--epochs", 6, "--balance", "--augment")
    assert done.exit_code == 0, done.output
    assert "precision" in done.stdout and f"{out} has the weights" in done.stdout
    results = json.loads((out / "results.json").read_text())
    best = results["epochs"][results["best"]]
    assert best["f1"] > 0.9 > results["data"]["commonest"]["f1"] and best["rmse"] < 1.0
    assert set(best["per_class"]) == {"1", "5"}
    assert "<table>" in (out / "results.html").read_text()
    encoder = load_encoder(EncoderConfig(model=str(out)))
    assert names_model(encoder.name, str(out)) and encoder.dimensions == 32
    assert not (tmp_path / "stars.partial").exists()
    stock = load_encoder(EncoderConfig(model=str(small)))
    assert encoder.name != stock.name
    assert not np.allclose(encoder.encode(["a lovely thing"]), stock.encode(["a lovely thing"]), atol=1e-3)
    # it goes on reading what it was trained to read, though its name no longer says so
    told = load_encoder(EncoderConfig(model=str(out), prefix="passage: "))
    assert told.name == encoder.name
    assert (told.encode(["a"]) == encoder.encode(["a"])).all()


def test_taste_brings_together_what_is_liked_together(small: Path, tmp_path: Path) -> None:
    items, log, out = tmp_path / "items.csv", tmp_path / "likes.csv", tmp_path / "taste"
    random = np.random.default_rng(0)
    words = "oak rose mint sage iron zinc salt sand rain snow wind fire moon star wolf bear hawk crow pike carp".split()  # noqa: SIM905
    items.write_text("id,name\n" + "".join(f"{n},{word}\n" for n, word in enumerate(words)))
    rows = ["who,what,when"]
    for user in range(60):  # even ones like even things
        for at in range(8):
            rows.append(f"{user},{2 * int(random.integers(10)) + user % 2},{100 * at + user}")
    log.write_text("\n".join(rows) + "\n")
    maps = ("--map", "user=who,item=what,ts=when", "--items", items, "--items-map", "item=id,title=name")
    options = ("--from", small, "--layers", 1, "--frozen", 0, "--rate", 1e-2, "--epochs", 20, "--patience", 20)
    done = run("taste", log, *maps, "--out", out, *options)
    assert done.exit_code == 0, done.output

    def contrast(model: Path) -> float:
        vectors = load_encoder(EncoderConfig(model=str(model))).encode(words)
        vectors = vectors - vectors.mean(0)
        alike = vectors @ vectors.T
        same = np.equal.outer(np.arange(20) % 2, np.arange(20) % 2)
        return float(alike[same & ~np.eye(20, dtype=bool)].mean() - alike[~same].mean())

    assert contrast(out) > contrast(small) + 0.2
    config = json.loads((out / "config.json").read_text())
    assert config["num_hidden_layers"] == 1


class Killed(Exception):
    pass


@pytest.mark.parametrize("frozen", [0, 1])
def test_a_killed_training_ends_as_if_it_had_not_been(small: Path, tmp_path: Path, frozen: int) -> None:
    from safetensors.numpy import load_file

    from divrec.training.loop import Plan
    from divrec.training.rating import RatingTask
    from divrec.training.run import run as trained
    from divrec.training.trunk import start

    texts = [f"{WORDS[stars].split()[n % 5]} thing {n}" for n in range(60) for stars in (1, 5)]
    ratings, plan = [1.0, 5.0] * 60, Plan(epochs=4, rate=1e-3, patience=4)
    split = by_time(range(len(texts)), texts)

    def train(out: Path, told: Callable[[str, int, int], None] = lambda *_: None) -> dict[str, Any]:
        config = EncoderConfig(model=str(small))
        _, trunk = start(config, layers=None, frozen=frozen, max_tokens=16, seed=0)
        return trained(RatingTask(trunk, texts, ratings, split), plan, out, {"from": "small"}, told)

    def killed(what: str, done: int, _: int) -> None:
        if what.startswith("epoch 3") and done == 2:
            raise Killed

    whole = train(tmp_path / "whole")
    with pytest.raises(Killed):
        train(tmp_path / "again", killed)
    with pytest.raises(ConfigError, match="begun with other"):
        plan, before = Plan(epochs=5), plan
        train(tmp_path / "again")
    plan = before
    assert train(tmp_path / "again")["epochs"] == whole["epochs"]
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "again"))
    assert one.keys() == two.keys() and all((one[name] == two[name]).all() for name in one)
    stock = load_file(small / "model.safetensors")
    changed = {name for name in one if not np.array_equal(one[name], stock[name])}
    lower = {name for name in one if name.startswith(("embeddings", "encoder.layer.0"))}
    assert changed and not any(name.startswith("embeddings") for name in changed)
    assert bool(changed & lower) == (frozen == 0)


def test_embeddings_learn_if_nothing_is_frozen(small: Path) -> None:
    from divrec.training.trunk import start

    for frozen in (-1, 0):
        _, trunk = start(EncoderConfig(model=str(small)), layers=1, frozen=frozen, max_tokens=16, seed=0)
        hidden, _ = trunk.below(trunk.tokens(["a text"]))
        assert hidden.requires_grad == (frozen == -1) and len(trunk.model.encoder.layer) == 1


def refused(*arguments: object) -> str:
    done = run(*arguments)
    assert done.exit_code == 2, done.output
    return " ".join(done.output.split())


def test_what_cannot_be_trained_on_is_told(small: Path, tmp_path: Path) -> None:
    log, out = reviews(tmp_path / "reviews.csv"), ("--out", tmp_path / "out", "--from", small)
    assert "with a text and a rating, found none" in refused("rating", log, *out, "--map", "text=about")
    assert "found 1, all of them 7" in refused("rating", log, *out, "--map", "text=about,rating==7")
    empty = tmp_path / "empty.txt"
    empty.write_text("\n\n")
    assert "expected texts, found none" in refused("mlm", empty, *out)
    assert "expected a directory that is not there" in refused("mlm", empty, "--out", tmp_path, "--from", small)
    columns: Sequence[object] = ("--map", "user=stars,item=about,ts=when")
    assert "expected texts of the items" in refused("taste", log, *columns, *out)
    lines = tmp_path / "lines.txt"
    lines.write_text("one\ntwo\nthree\n")
    assert "--layers: expected 1 to 2" in refused("mlm", lines, *out, "--layers", 3)
    assert "--frozen: expected -1 to 2" in refused("mlm", lines, *out, "--frozen", 3)
    assert "expected a device" in refused("mlm", lines, *out, "--device", "nothing")
    assert not (tmp_path / "out").exists()
