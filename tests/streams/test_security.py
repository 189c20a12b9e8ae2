"""Workers and commands over TLS and SASL, and what they say when they are not let in."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from divrec.config import Config, load_config
from divrec.errors import StoreRefused, StoreUnavailable
from divrec.state.redis import RedisStore
from streams.cli import app
from streams.leaving import EXIT_CONFIG, EXIT_OK
from streams.local.servers import LOOPBACK, free_ports
from tests.servers import Broker, ValkeyServer
from tests.streams.running import Worker
from tests.streams.secured import PASSWORD, USER, Certificates, SecuredKafka, tls_before

WRONG = "wrong-" + PASSWORD


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls") / "made")


@pytest.fixture(scope="module")
def secured_kafka(kafka_directory: Path, certificates: Certificates) -> Iterator[SecuredKafka]:
    server = SecuredKafka(kafka_directory / "secured", certificates)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[ValkeyServer]:
    """A Valkey with a password."""
    server = ValkeyServer(tmp_path / "guarded")
    server.start()
    with server.client() as client:
        client.config_set("requirepass", PASSWORD)
    yield server
    server.kill()


class Site:
    """A configuration file, the secrets beside it, and commands that use them."""

    def __init__(self, directory: Path, kafka: dict[str, Any], redis: dict[str, Any]) -> None:
        directory.mkdir(exist_ok=True)
        self.directory, self.file = directory, directory / "divrec.toml"
        (directory / "password").write_text(PASSWORD + "\n")
        (directory / "wrong").write_text(WRONG)
        sections = {
            "kafka": {"partitions": 2, "prefix": f"{directory.name}.{time.monotonic_ns()}."} | kafka,
            "redis": redis,
            "worker": {"state_dir": directory / "state"},
        }
        lines = ['log_level = "DEBUG"']
        for name, values in sections.items():
            lines.append(f"[{name}]")
            lines += [f"{key} = {json.dumps(v if isinstance(v, int) else str(v))}" for key, v in values.items()]
        self.file.write_text("\n".join(lines))

    @property
    def config(self) -> Config:
        return load_config(self.file)

    def run(self, *arguments: str, stdin: str | None = None) -> Result:
        result = CliRunner().invoke(app, ["--config", str(self.file), *arguments], input=stdin)
        assert PASSWORD not in result.output
        return result

    def worker(self, name: str) -> Worker:
        code = f"from streams.cli import app; app(['--config', {str(self.file)!r}, 'worker', {name!r}])"
        return Worker(self.config, f"streams.{name}", code)


def sasl(secured: SecuredKafka, certificates: Certificates, **changes: Any) -> dict[str, Any]:
    values = {
        "brokers": secured.addresses["sasl_tls"],
        "security": "sasl_tls",
        "sasl_mechanism": "SCRAM-SHA-512",
        "username": USER,
        "password": PASSWORD,
        "ca_file": certificates.ca,
    } | changes
    return {key: value for key, value in values.items() if value is not None}


@pytest.mark.kafka
def test_ingest_and_recommend_over_tls_and_passwords(
    secured_kafka: SecuredKafka,
    guarded: ValkeyServer,
    certificates: Certificates,
    tmp_path: Path,
) -> None:
    directory = tmp_path / "site"
    secret = directory / "password"
    with tls_before(guarded.port, certificates) as port, ExitStack() as stack:
        url = f"rediss://{LOOPBACK}:{port}/0"
        site = Site(
            directory,
            sasl(secured_kafka, certificates, password=None, password_file=secret),
            {"url": url, "password_file": secret, "ca_file": certificates.ca},
        )
        assert site.run("topics", "create").exit_code == 0
        workers = [site.worker(name) for name in ("ingest", "recommend")]
        for running in workers:
            stack.callback(running.kill)
        for running in workers:
            running.wait_until(lambda running=running: running.ready)
        assert site.run("produce", "clicks", "--user", "ann", "--item", "tea", "--action", "like").exit_code == 0
        shown = site.run("tail", "recommendations", "--from", "start", "--limit", "1", "--json")
        assert json.loads(shown.stdout)["user_id"] == "ann"
        assert [running.end() for running in workers] == [EXIT_OK, EXIT_OK]
        for running in workers:
            assert not running.said(PASSWORD)


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("security", "mechanism"),
    [
        ("tls", None),
        ("sasl_plaintext", "SCRAM-SHA-256"),
        ("sasl_tls", "PLAIN"),
        ("sasl_tls", "SCRAM-SHA-256"),
        ("sasl_tls", "SCRAM-SHA-512"),
    ],
)
def test_every_way_in(
    secured_kafka: SecuredKafka, certificates: Certificates, tmp_path: Path, security: str, mechanism: str | None
) -> None:
    changes: dict[str, Any] = {
        "brokers": secured_kafka.addresses[security],
        "security": security,
        "sasl_mechanism": mechanism,
    }
    if mechanism is None:
        changes |= {"username": None, "password": None}
        changes |= {"cert_file": certificates.client, "key_file": certificates.client.with_suffix(".key")}
    if security == "sasl_plaintext":
        changes["ca_file"] = None
    site = Site(tmp_path / "site", sasl(secured_kafka, certificates, **changes), {})
    assert site.run("topics", "create").exit_code == 0
    sent = site.run("produce", "clicks", stdin='{"user_id":"ann","item_id":"tea"}')
    assert sent.exit_code == 0, sent.output
    shown = site.run("tail", "clicks", "--from", "start", "--limit", "1", "--json")
    assert json.loads(shown.stdout)["item_id"] == "tea"


REFUSED = [
    ({"password": WRONG}, f"wrong password, or unknown user '{USER}'"),
    ({"password": WRONG, "sasl_mechanism": "PLAIN"}, f"wrong password, or unknown user '{USER}'"),
    ({"username": "nobody"}, "wrong password, or unknown user 'nobody'"),
    ({"brokers": "sasl_plaintext", "security": "sasl_plaintext", "sasl_mechanism": "PLAIN"}, "does not offer PLAIN"),
    ({"ca_file": "stranger"}, "its certificate is not accepted"),
    ({"brokers": "tls", "security": "tls"}, "refuses the TLS connection"),
    ({"brokers": "localhost"}, "its certificate is not accepted (Hostname mismatch"),
]


@pytest.mark.kafka
@pytest.mark.parametrize(("changes", "told"), REFUSED)
def test_what_is_refused_is_said_in_a_line_and_is_no_broker_away(
    secured_kafka: SecuredKafka,
    certificates: Certificates,
    tmp_path: Path,
    changes: dict[str, Any],
    told: str,
) -> None:
    made = dict(changes)
    if made.get("brokers") == "localhost":
        made["brokers"] = secured_kafka.addresses["sasl_tls"].replace(LOOPBACK, "localhost")
    elif "brokers" in made:
        made["brokers"] = secured_kafka.addresses[made["brokers"]]
    if "ca_file" in made:
        made["ca_file"] = certificates.stranger
    if made.get("security") == "tls":
        made |= {"sasl_mechanism": None, "username": None, "password": None}
    if made.get("security") == "sasl_plaintext":
        made["ca_file"] = None
    site = Site(tmp_path / "site", sasl(secured_kafka, certificates, **made), {})
    checked = site.run("topics", "check")
    assert checked.exit_code == 2
    assert told in checked.stderr and "none answers" not in checked.stderr
    assert checked.stderr.count("\n") == 1


@pytest.mark.kafka
def test_a_worker_with_a_wrong_password_ends_for_its_configuration(
    secured_kafka: SecuredKafka, certificates: Certificates, tmp_path: Path
) -> None:
    directory = tmp_path / "site"
    wrong = sasl(secured_kafka, certificates, password=None, password_file=directory / "wrong")
    running = Site(directory, wrong, {}).worker("ingest")
    try:
        assert running.exit_code() == EXIT_CONFIG
    finally:
        running.kill()
    (line,) = [line for line in running.lines if " DEBUG " not in line]

    assert "CRITICAL" in line and "wrong password" in line and WRONG not in line


def test_a_broker_that_is_away_is_waited_for_whatever_the_security(certificates: Certificates, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    away = {"brokers": f"{LOOPBACK}:{port}", "security": "tls", "ca_file": certificates.ca}
    running = Site(tmp_path / "site", away, {}).worker("ingest")
    try:
        running.wait_until(lambda: running.said("waiting for it"))
        assert running.process.poll() is None
        assert running.said("none answers")
    finally:
        running.kill()


def test_a_certificate_that_is_none_is_refused_at_once(certificates: Certificates, tmp_path: Path) -> None:
    key = certificates.client.with_suffix(".key")
    for files in ({"ca_file": key}, {"cert_file": certificates.client, "key_file": certificates.stranger}):
        site = Site(tmp_path / "site", {"brokers": f"{LOOPBACK}:1", "security": "tls", **files}, {})
        refused = site.run("topics", "check")
        assert refused.exit_code == 2
        assert "expected PEM certificates" in refused.stderr and refused.stderr.count("\n") == 1


def stored(site: Site) -> None:
    import asyncio

    async def loaded() -> None:
        store = RedisStore(site.config.redis, "t")
        try:
            await store.load(["ann"], [0])
        finally:
            await store.close()

    asyncio.run(loaded())


def test_the_store_is_reached_with_a_password_and_over_tls(
    guarded: ValkeyServer, certificates: Certificates, tmp_path: Path
) -> None:
    directory = tmp_path / "site"
    stored(Site(directory, {}, {"url": guarded.url, "password": PASSWORD}))
    stored(Site(directory, {}, {"url": guarded.url, "password_file": directory / "password"}))
    (tmp_path / "address").write_text(guarded.url.replace("//", f"//default:{PASSWORD}@"))
    stored(Site(directory, {}, {"url_file": tmp_path / "address"}))
    with tls_before(guarded.port, certificates) as port:
        url = f"rediss://{LOOPBACK}:{port}/0"
        secured = {"url": url, "ca_file": certificates.ca, "password": PASSWORD}
        stored(Site(directory, {}, secured))
        for changes, told in (
            ({"ca_file": certificates.stranger}, "its certificate is not accepted"),
            ({"url": url.replace(LOOPBACK, "localhost")}, "its certificate is not accepted"),
            ({"password": WRONG}, "Redis refuses divrec"),
            ({"cert_file": certificates.ca.with_suffix(".key")}, "expected PEM certificates"),
        ):
            with pytest.raises(StoreRefused) as refused:
                stored(Site(directory, {}, secured | changes))
            assert told in str(refused.value)
            assert PASSWORD not in repr(refused.value)
    with pytest.raises(StoreUnavailable) as away:
        stored(Site(directory, {}, secured))
    assert not isinstance(away.value, StoreRefused)


def test_a_worker_that_the_store_refuses_ends_for_its_configuration(
    embedded_broker: Broker, guarded: ValkeyServer, tmp_path: Path
) -> None:
    kafka = {"brokers": embedded_broker.address, "idempotent": False}
    site = Site(tmp_path / "site", kafka, {"url": guarded.url, "password": WRONG})
    site.file.write_text(site.file.read_text().replace('"idempotent" = 0', "idempotent = false"))
    assert site.run("topics", "create").exit_code == 0
    running = site.worker("recommend")
    try:
        assert running.exit_code() == EXIT_CONFIG
    finally:
        running.kill()
    (line,) = [line for line in running.lines if " DEBUG " not in line]

    assert "CRITICAL" in line and "Redis refuses divrec" in line and WRONG not in line
