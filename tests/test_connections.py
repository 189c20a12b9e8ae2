"""What is refused about addresses, TLS and passwords before anything is reached, and that no secret is quoted."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from divrec.config import Config, load_config
from divrec.errors import ConfigError
from streams.cli import app

SECRET = "plantedSecret"
SASL = {"security": "sasl_tls", "sasl_mechanism": "PLAIN", "username": "u"}


@pytest.mark.parametrize(
    ("section", "values", "told"),
    [
        ("kafka", SASL, "expected password or password_file too"),
        ("kafka", SASL | {"password": ""}, "expected password or password_file too"),
        ("kafka", SASL | {"password": SECRET, "password_file": "f"}, "expected one of them, got both"),
        ("kafka", SASL | {"password": SECRET, "sasl_mechanism": None}, "expected sasl_mechanism too"),
        ("kafka", SASL | {"password": SECRET, "sasl_mechanism": "GSSAPI"}, "sasl_mechanism: Input should be 'PLAIN'"),
        ("kafka", SASL | {"password": SECRET, "security": "tls"}, "sasl_mechanism: expected only with security sasl"),
        ("kafka", SASL | {"password": SECRET, "security": "sasl_plaintext", "ca_file": "f"}, "ca_file: expected only"),
        ("kafka", {"password": SECRET}, "expected only with security sasl_tls or sasl_plaintext"),
        ("kafka", {"security": "tls", "key_file": "f"}, "key_file: expected cert_file too"),
        ("kafka", {"security": "tls", "ca_file": "absent.pem"}, "kafka.ca_file: expected a file at absent.pem"),
        ("kafka", SASL | {"password_file": "absent"}, "kafka.password_file: expected a file that can be read"),
        ("redis", {"url": f"redis://:pa/{SECRET}@h:6379/0"}, "must be percent-encoded"),
        ("redis", {"url": f"redis://:{SECRET}@h:pörts/0"}, "must be percent-encoded"),
        ("redis", {"url": f"http://:{SECRET}@h/0"}, "expected redis://host:port/0 or rediss://"),
        ("redis", {"url": f"redis://u:{SECRET}@h/0", "password": SECRET}, "url holds a password"),
        ("redis", {"url": "redis://h/0", "url_file": "f"}, "url and url_file: expected one of them"),
        ("redis", {"password": SECRET, "password_file": "f"}, "expected one of them, got both"),
        ("redis", {"url": "redis://h/0", "ca_file": "f"}, "expected only with rediss://"),
        ("redis", {"url": "rediss://h/0", "key_file": "f"}, "key_file: expected cert_file too"),
        ("redis", {"url": "rediss://h/0", "ca_file": "absent.pem"}, "redis.ca_file: expected a file at absent.pem"),
        ("redis", {"url_file": "absent"}, "redis.url_file: expected a file that can be read"),
    ],
)
def test_a_contradiction_is_refused_without_quoting_a_secret(
    section: str, values: dict[str, Any], told: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as refused:
        load_config(overrides={section: values})
    assert told in str(refused.value)
    assert SECRET not in repr(refused.value)
    try:
        Config(**{section: values})
    except ValidationError as error:
        assert SECRET not in str(error)


def test_a_secret_comes_from_a_file_without_its_line_end(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(f"{SECRET} \n")
    (tmp_path / "address").write_text("rediss://redis:6380/1\r\n")
    config = load_config(
        overrides={
            "kafka": SASL | {"password_file": tmp_path / "password"},
            "redis": {"url_file": tmp_path / "address", "password_file": tmp_path / "password"},
        }
    )
    kafka, redis = config.kafka.secret(), config.redis.secret()
    assert kafka is not None and kafka.get_secret_value() == f"{SECRET} "
    assert redis is not None and redis.get_secret_value() == f"{SECRET} "
    assert config.redis.address().get_secret_value() == "rediss://redis:6380/1"
    assert SECRET not in repr((config, kafka, redis)) + config.model_dump_json()


@pytest.mark.parametrize("content", [b"", b"\n", b"two\nlines\n", b"\xff\xfe", b"x" * 100_000])
def test_a_file_that_holds_no_secret_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "password").write_bytes(content)
    with pytest.raises(ConfigError, match=r"redis\.password_file: expected"):
        load_config(overrides={"redis": {"password_file": tmp_path / "password"}})


def test_an_address_in_a_file_is_checked_like_any(tmp_path: Path) -> None:
    (tmp_path / "address").write_text(f"redis://:{SECRET}@h:6379/0")
    with pytest.raises(ConfigError, match=r"redis\.url_file holds a password") as refused:
        load_config(overrides={"redis": {"url_file": tmp_path / "address", "password": SECRET}})
    assert SECRET not in str(refused.value)


def test_secrets_of_the_environment_are_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in (SASL | {"password": SECRET}).items():
        monkeypatch.setenv(f"DIVREC_KAFKA__{name}".upper(), value)
    monkeypatch.setenv("DIVREC_REDIS__PASSWORD", SECRET)
    shown = CliRunner().invoke(app, ["config", "show", "--json"]).output
    settings = {s["name"]: s["value"] for s in json.loads(shown)}
    assert (settings["kafka.password"], settings["redis.password"], settings["kafka.username"]) == ("set", "set", "u")
    assert SECRET not in shown + CliRunner().invoke(app, ["config", "show"]).output
