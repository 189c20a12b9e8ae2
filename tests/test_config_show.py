"""``divrec config show``: every setting, its value and where it comes from."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from divrec.config import load_config
from divrec.settings import load_settings
from streams.cli import app

SECRET = "plantedSecret"


def shown(*arguments: str) -> Any:
    result = CliRunner().invoke(app, ["config", "show", *arguments], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "some.toml"
    path.write_text(
        f'generation = "g7"\n[kafka]\nbrokers = "file:1"\npartitions = 5\n[redis]\nurl = "redis://u:{SECRET}@h/0"\n'
        '[topics.clicks.map]\nuser = "who"\nitem = "what"\n'
    )
    monkeypatch.setenv("DIVREC_KAFKA__PARTITIONS", "6")
    monkeypatch.setenv("DIVREC_SLATE", '{"k": 7}')
    return path


def test_each_setting_has_its_value_and_origin(file: Path) -> None:
    settings = {s["name"]: (s["value"], s["origin"]) for s in json.loads(shown("--json", "--config", str(file)))}
    assert settings["generation"] == ("g7", str(file))
    assert settings["kafka.brokers"] == ("file:1", str(file))
    assert settings["kafka.partitions"] == (6, "DIVREC_KAFKA__PARTITIONS")
    assert settings["slate.k"] == (7, "DIVREC_SLATE")
    assert settings["slate.diversity"] == (0.2, "default")
    assert settings["worker.http_port"] == (None, "default")
    assert settings["topics.clicks.map"] == ({"user": "who", "item": "what"}, str(file))
    assert settings["redis.url"] == ("set", str(file))


def test_it_shows_what_load_config_gives(file: Path) -> None:
    config: Any = load_config(file)
    for setting in load_settings(file):
        value = config
        for part in setting.name.split("."):
            value = getattr(value, part)
        assert value == setting.value, setting.name


def test_no_secret_is_shown(file: Path) -> None:
    for output in (shown("--json", "--config", str(file)), shown("--config", str(file))):
        assert SECRET not in output
    assert "redis.url" in shown("--config", str(file))
