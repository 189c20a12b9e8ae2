"""Apache Kafka and Valkey behind TLS and passwords, with certificates made for the test."""

import asyncio
import os
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streams.local.child import Child
from streams.local.servers import LOOPBACK, free_ports
from tests.servers import KAFKA, KafkaServer

USER, PASSWORD = "divrec", "open-sesame-4711"

_LISTENERS = {"PLAINTEXT": "PLAINTEXT", "TLS": "SSL", "SASL": "SASL_PLAINTEXT", "SASLTLS": "SASL_SSL"}
"""TLS wants a certificate of the client, SASL knows SCRAM-SHA-256 only."""


class Certificates:
    """A certificate authority, a server's and a client's certificate, and an authority that nobody asked for."""

    def __init__(self, directory: Path) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("certificates are made by openssl, there is none on the PATH")
        directory.mkdir(parents=True)
        self.ca, self.stranger = directory / "ca.pem", directory / "stranger.pem"
        for file in (self.ca, self.stranger):
            self._openssl("req", "-x509", *_NEW_KEY, "-keyout", file.with_suffix(".key"), "-out", file, "-days", "2")
        self.server = self._signed(directory / "server", f"subjectAltName=IP:{LOOPBACK}")
        self.client = self._signed(directory / "client", "extendedKeyUsage=clientAuth")

    def _signed(self, path: Path, extension: str) -> Path:
        """A certificate at ``path``.pem and its key at ``path``.key."""
        key, request, certificate, extensions = (path.with_suffix(s) for s in (".key", ".csr", ".pem", ".ext"))
        extensions.write_text(extension)
        self._openssl("req", *_NEW_KEY, "-keyout", key, "-out", request)
        self._openssl(
            *("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.ca.with_suffix(".key")),
            *("-CAcreateserial", "-extfile", extensions, "-days", "2", "-out", certificate),
        )
        return certificate

    def _openssl(self, *arguments: str | Path) -> None:
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=divrec-test")


class SecuredKafka(KafkaServer):
    """``addresses`` by the setting ``kafka.security``."""

    def __init__(self, directory: Path, certificates: Certificates) -> None:
        super().__init__(directory)
        controller, *ports = free_ports(4)
        listeners = dict(zip(_LISTENERS, (self.port, *ports), strict=True))
        self.addresses = {
            protocol: f"{LOOPBACK}:{listeners[name]}"
            for protocol, name in {"tls": "TLS", "sasl_plaintext": "SASL", "sasl_tls": "SASLTLS"}.items()
        }
        chain = directory / "server-chain.pem"
        chain.write_bytes(certificates.server.with_suffix(".key").read_bytes() + certificates.server.read_bytes())
        advertised = ",".join(f"{name}://{LOOPBACK}:{port}" for name, port in listeners.items())
        login = "org.apache.kafka.common.security"
        plain = f'{login}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
        scram = f"{login}.scram.ScramLoginModule required;"
        settings = f"""
listeners={advertised},CONTROLLER://{LOOPBACK}:{controller}
advertised.listeners={advertised}
controller.quorum.voters=1@{LOOPBACK}:{controller}
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map={",".join(f"{a}:{b}" for a, b in _LISTENERS.items())},CONTROLLER:PLAINTEXT
ssl.keystore.type=PEM
ssl.keystore.location={chain}
ssl.truststore.type=PEM
ssl.truststore.location={certificates.ca}
listener.name.tls.ssl.client.auth=required
listener.name.sasl.sasl.enabled.mechanisms=SCRAM-SHA-256
listener.name.sasl.scram-sha-256.sasl.jaas.config={scram}
listener.name.sasltls.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasltls.plain.sasl.jaas.config={plain}
listener.name.sasltls.scram-sha-256.sasl.jaas.config={scram}
listener.name.sasltls.scram-sha-512.sasl.jaas.config={scram}
"""
        environment = {**os.environ, "KAFKA_CONTROLLER_PORT": str(controller), "KAFKA_SETTINGS": settings}
        command = [str(KAFKA / "start"), str(self.port), str(directory / "kafka")]
        self.child = Child("kafka", command, directory / "kafka.log", environment)

    def start(self, timeout_s: float = 60.0) -> None:
        super().start(timeout_s)
        for bits in (256, 512):  # Kafka refuses both in one request
            command = ["java", "-cp", f"{KAFKA / 'libs'}/*", "kafka.admin.ConfigCommand"]
            command += ["--bootstrap-server", self.address, "--alter", "--entity-type", "users", "--entity-name", USER]
            command += ["--add-config", f"SCRAM-SHA-{bits}=[password={PASSWORD}]"]
            subprocess.run(command, check=True, capture_output=True, timeout=60)


@contextmanager
def tls_before(port: int, certificates: Certificates) -> Iterator[int]:
    """A port that speaks TLS and passes on what it gets to ``port``: the embedded Valkey is built without TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server, certificates.server.with_suffix(".key"))
    started, ended = threading.Event(), asyncio.Event()
    (own,) = free_ports(1)
    loop = asyncio.new_event_loop()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(LOOPBACK, port)
        await asyncio.gather(pump(reader, back), pump(there, writer))

    async def serve() -> None:
        async with await asyncio.start_server(connected, LOOPBACK, own, ssl=context):
            started.set()
            await ended.wait()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield own
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(10)
        loop.close()
