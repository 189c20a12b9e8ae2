"""The configuration: one file, the environment over it, and nothing unknown. Its display is in test_config_show.py."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from divrec.config import Config, load_config
from divrec.errors import ConfigError


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable and no file of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("DIVREC_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "some.toml"
    file.write_text(text)
    return file


def test_defaults() -> None:
    assert load_config() == Config()


def test_the_environment_is_over_what_is_given_is_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path, '[slate]\nk = 5\ndiversity = 0.5\npool = 50\n[kafka]\nprefix = "file."\n')
    monkeypatch.setenv("DIVREC_SLATE__K", "7")
    monkeypatch.setenv("DIVREC_SLATE__PUBLISH_ACTIONS", '["like"]')
    config = load_config(file, {"slate": {"k": 6, "pool": 60}})
    assert (config.slate.k, config.slate.pool, config.slate.diversity) == (7, 60, 0.5)
    assert config.slate.publish_actions == ("like",) and config.kafka.prefix == "file."
    assert config.slate.fresh_days == Config().slate.fresh_days


def test_which_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("divrec.toml").write_text('generation = "here"')
    assert load_config().generation == "here"
    monkeypatch.setenv("DIVREC_CONFIG", str(written(tmp_path, 'generation = "named"')))
    assert load_config().generation == "named"
    assert load_config(Path("divrec.toml")).generation == "here"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[slat]\nk = 5", "slat"),
        ("[slate]\nkk = 5", r"slate\.kk"),
        ("[topics.clicks]\nnamed = 'x'", r"topics\.clicks\.named"),
        ("[slate]\nk = 0", r"slate\.k"),
        ("[slate]\nk = 'many'", r"slate\.k"),
        ("[slate]\ndiversity = nan", r"slate\.diversity"),
        ("[slate]\nconsumed_actions = ['bought']", r"slate\.consumed_actions"),
        ("[feedback]\nrating_min = 5.0", "rating_min must be below rating_max"),
        ("generation = 'a b'", "generation"),
        ("k = [", "not valid TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(ConfigError, match=said) as refused:
        load_config(file)
    assert str(file) in str(refused.value)


@pytest.mark.parametrize(
    "name", ["DIVREC_SLATE__KK", "DIVREC_SLAT__K", "DIVREC_K", "DIVREC_SLATE_K", "DIVREC_SLATE__K__MORE", "DIVREC_"]
)
def test_an_unknown_variable_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "5")
    with pytest.raises(ConfigError, match=f"{name}: no such setting"):
        load_config()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DIVREC_SLATE__K", "many"),
        ("DIVREC_SLATE__K", ""),
        ("DIVREC_SLATE__PUBLISH_ACTIONS", "like"),
        ("DIVREC_SLATE", "{"),
        ("DIVREC_KAFKA", "host:9092"),
    ],
)
def test_a_variable_with_a_wrong_value_is_a_config_error(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError):
        load_config()


def test_a_file_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="expected a file"):
        load_config(tmp_path / "none.toml")
    monkeypatch.setenv("DIVREC_CONFIG", str(tmp_path / "none.toml"))
    with pytest.raises(ConfigError, match="expected a file"):
        load_config()


def test_a_file_that_is_not_utf_8(tmp_path: Path) -> None:
    file = tmp_path / "some.toml"
    file.write_bytes(b"generation = '\xff'")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_config(file)


def test_it_does_not_change() -> None:
    config = Config()
    with pytest.raises(ValidationError):
        config.slate.k = 5
    with pytest.raises(ValidationError):
        config.generation = "g2"


def test_secrets_are_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config(written(tmp_path, '[redis]\nurl = "redis://:hunter2@host/0"'))
    assert "hunter2" not in repr(config) + str(config) + config.model_dump_json()
    assert config.redis.url.get_secret_value() == "redis://:hunter2@host/0"
    monkeypatch.setenv("DIVREC_REDIS__URL", "redis://:hunter2@host/0")
    monkeypatch.setenv("DIVREC_REDIS__TIMEOUT_S", "never")
    with pytest.raises(ConfigError) as refused:
        load_config()
    assert "hunter2" not in str(refused.value)
