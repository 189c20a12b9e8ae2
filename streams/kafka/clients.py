"""What every client of Kafka gets: the brokers' addresses, TLS and SASL, out of one configuration."""

import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import IllegalSaslStateError, KafkaError, SaslAuthenticationFailed, UnsupportedSaslMechanismError

from divrec.connections import KafkaConfig, tls_fault
from divrec.errors import ConfigError

PROTOCOLS = {"plaintext": "PLAINTEXT", "tls": "SSL", "sasl_plaintext": "SASL_PLAINTEXT", "sasl_tls": "SASL_SSL"}
_REQUEST_TIMEOUT_MS = 5_000


def client_arguments(config: KafkaConfig) -> dict[str, Any]:
    """Arguments of aiokafka's producers, consumers and admin clients. Raises ConfigError if a file cannot be used."""
    password = config.secret()
    arguments: dict[str, Any] = {
        "bootstrap_servers": config.brokers,
        "security_protocol": PROTOCOLS[config.security],
        "ssl_context": tls_context(config),
    }
    if config.sasl and password is not None:
        arguments |= {
            "sasl_mechanism": config.sasl_mechanism,
            "sasl_plain_username": config.username,
            "sasl_plain_password": password.get_secret_value(),
        }
    return arguments


def tls_context(config: KafkaConfig) -> ssl.SSLContext | None:
    """Trust and certificate of the client; None without TLS. Names are always verified. Raises ConfigError."""
    if not config.tls:
        return None
    try:
        context = ssl.create_default_context(cafile=config.ca_file)
        if config.cert_file is not None:
            # An empty password, or OpenSSL would ask the terminal for that of an encrypted key.
            context.load_cert_chain(config.cert_file, config.key_file, password="")
    except (OSError, ValueError) as error:
        raise ConfigError(
            "kafka.ca_file, cert_file, key_file: expected PEM certificates, and a private key that fits and is not "
            f"encrypted, got {error}"
        ) from None
    return context


@contextmanager
def unsaid() -> Iterator[None]:
    """Keeps the client's own lines about a connection that fails out of the log, where the caller says it better."""
    client = logging.getLogger("aiokafka")
    level = client.level
    client.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        client.setLevel(level)


async def refusal(config: KafkaConfig) -> str | None:
    """Why no broker lets us in; None if one does, or if none answers.

    aiokafka's clients tell both as if there were no connection.
    """
    arguments = client_arguments(config)
    reason = None
    for host, port, _ in collect_hosts(arguments.pop("bootstrap_servers"), randomize=False):
        try:
            connection = await create_conn(host, port, request_timeout_ms=_REQUEST_TIMEOUT_MS, **arguments)
        except (KafkaError, OSError, TimeoutError, AssertionError) as error:
            reason = _reason(config, error) or reason
        else:
            connection.close()
            return None
    return reason


def _reason(config: KafkaConfig, error: BaseException) -> str | None:
    match error:
        case SaslAuthenticationFailed():
            return f"wrong password, or unknown user {config.username!r}"
        case UnsupportedSaslMechanismError():
            return f"it does not offer {config.sasl_mechanism}: correct kafka.sasl_mechanism"
        case IllegalSaslStateError():
            return "it asks for no password there: correct kafka.security"
    return tls_fault(error)
