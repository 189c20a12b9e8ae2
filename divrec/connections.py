"""How Kafka and Redis are reached: addresses, TLS and passwords.

A secret is given as a value or as a file that holds it. What contradicts itself is refused.
"""

import ssl
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from divrec.errors import ConfigError

Positive = Annotated[int, Field(gt=0)]
SECRECY = frozenset(
    [
        "security",
        "sasl_mechanism",
        "username",
        "password",
        "password_file",
        "url_file",
        "ca_file",
        "cert_file",
        "key_file",
    ]
)
"""Keys of both sections that say how a connection is protected."""
_LONGEST_SECRET = 65_536


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class KafkaConfig(Section):
    brokers: str = "127.0.0.1:9092"
    """Comma-separated ``host:port``."""
    prefix: str = "divrec."
    """Begins the names of all topics that are not named otherwise."""
    partitions: Positive = 8
    """Partitions of ``events``: fixed within a generation."""
    replication: Positive = 1
    idempotent: bool = True
    """Idempotent producers; off only for the embedded broker, which lacks them."""
    fetch_wait_ms: Positive = 500
    """Longest wait of a fetch; the embedded broker does not wake a waiting fetch, so there it is the delay."""
    session_timeout_s: Annotated[float, Field(ge=6)] = 6.0
    security: Literal["plaintext", "tls", "sasl_plaintext", "sasl_tls"] = "plaintext"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    username: str | None = None
    password: SecretStr | None = None
    password_file: Path | None = None
    """Holds the password, instead of ``password``."""
    ca_file: Path | None = None
    """Certificates (PEM) that the brokers' must descend from; none: those that the system trusts."""
    cert_file: Path | None = None
    """Certificate (PEM) that this client shows."""
    key_file: Path | None = None
    """Its private key, not encrypted; none: it is in ``cert_file``."""

    @property
    def tls(self) -> bool:
        return self.security in ("tls", "sasl_tls")

    @property
    def sasl(self) -> bool:
        return self.security in ("sasl_plaintext", "sasl_tls")

    def secret(self) -> SecretStr | None:
        """The password, if one is configured. Raises ConfigError if its file cannot be used."""
        return self.password if self.password_file is None else read_secret(self.password_file, "kafka.password_file")

    def check_files(self) -> None:
        """Raises ConfigError if a file that is named is not there."""
        self.secret()
        _check_certificates("kafka", self.ca_file, self.cert_file, self.key_file)

    @model_validator(mode="after")
    def _agrees(self) -> "KafkaConfig":
        _one_of("password", self.password, "password_file", self.password_file)
        _key_has_certificate(self.cert_file, self.key_file)
        for name in ("ca_file", "cert_file", "key_file"):
            if getattr(self, name) is not None and not self.tls:
                raise ValueError(f"{name}: expected only with security tls or sasl_tls, got security {self.security}")
        known = {
            "sasl_mechanism": self.sasl_mechanism,
            "username": self.username,
            "password or password_file": self.password or self.password_file,
        }
        for name, value in known.items():
            if value is not None and not self.sasl:
                raise ValueError(
                    f"{name}: expected only with security sasl_tls or sasl_plaintext, got security {self.security}"
                )
            if not value and self.sasl:
                raise ValueError(f"security {self.security}: expected {name} too, got none")
        return self


class RedisConfig(Section):
    url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    """``redis://``, ``rediss://`` (TLS) or ``unix://``; user and password may be in it."""
    url_file: Path | None = None
    """Holds the address, instead of ``url``."""
    password: SecretStr | None = None
    password_file: Path | None = None
    """Holds the password, instead of ``password`` or one in the address."""
    ca_file: Path | None = None
    """Certificates (PEM) that the server's must descend from; none: those that the system trusts."""
    cert_file: Path | None = None
    """Certificate (PEM) that this client shows."""
    key_file: Path | None = None
    """Its private key, not encrypted; none: it is in ``cert_file``."""
    timeout_s: Annotated[float, Field(gt=0)] = 5.0
    profile_ttl_days: Annotated[float, Field(gt=0)] = 365.0
    """A profile without a new event for this long is forgotten."""

    def address(self) -> SecretStr:
        """The address. Raises ConfigError if its file cannot be used, or holds what contradicts the rest."""
        if self.url_file is None:
            return self.url
        address = read_secret(self.url_file, "redis.url_file")
        try:
            self._check_address("url_file", address)
        except ValueError as error:
            raise ConfigError(f"redis.{error}") from None
        return address

    def secret(self) -> SecretStr | None:
        """The password that is not in the address. Raises ConfigError if its file cannot be used."""
        return self.password if self.password_file is None else read_secret(self.password_file, "redis.password_file")

    def check_files(self) -> None:
        """Raises ConfigError if a file that is named is not there."""
        self.address()
        self.secret()
        _check_certificates("redis", self.ca_file, self.cert_file, self.key_file)

    @model_validator(mode="after")
    def _agrees(self) -> "RedisConfig":
        _one_of("password", self.password, "password_file", self.password_file)
        _key_has_certificate(self.cert_file, self.key_file)
        if self.url_file is None:
            self._check_address("url", self.url)
        elif self.url != type(self).model_fields["url"].default:
            raise ValueError("url and url_file: expected one of them, got both")
        return self

    def _check_address(self, name: str, address: SecretStr) -> None:
        try:
            parts = urlsplit(address.get_secret_value())
            parts.port  # noqa: B018 - looks whether it is a number
        except ValueError:  # says what may be a part of the password
            parts = urlsplit("")
        if parts.scheme not in ("redis", "rediss", "unix") or not (parts.hostname or parts.scheme == "unix"):
            raise ValueError(
                f"{name}: expected redis://host:port/0 or rediss://host:port/0, got another form: a password with more "
                "than letters and digits must be percent-encoded there, or be given as redis.password"
            )
        if parts.password is not None and (self.password or self.password_file):
            raise ValueError(f"{name} holds a password: expected no password or password_file beside it")
        if parts.scheme != "rediss" and (self.ca_file or self.cert_file):
            raise ValueError(f"ca_file, cert_file: expected only with rediss:// (TLS), got {parts.scheme}:// in {name}")


def read_secret(file: Path, setting: str) -> SecretStr:
    """What ``file`` holds, without a line's end. Raises ConfigError naming the ``setting`` that names the file."""
    try:
        text = file.read_bytes()[: _LONGEST_SECRET + 1].decode().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        what = error.strerror if isinstance(error, OSError) else "other bytes than UTF-8"
        raise ConfigError(f"{setting}: expected a file that can be read at {file}: {what}") from None
    if not text or len(text) > _LONGEST_SECRET or "\n" in text:
        raise ConfigError(f"{setting}: expected one line in {file}, got {'more' if text else 'nothing'}")
    return SecretStr(text)


def tls_fault(error: BaseException) -> str | None:
    """What is wrong about TLS, where ``error`` or what led to it tells; None if the other side may just be away."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return f"its certificate is not accepted ({seen.verify_message}): see ca_file, and the name in the address"
        if isinstance(seen, ssl.SSLError):
            reason = seen.reason or ""
            if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"):
                return "it does not speak TLS there"
            if "ALERT" in reason:
                return f"it refuses the TLS connection ({reason}): see cert_file and key_file"
            if "PEM" in str(seen) or reason.startswith(("NO_CERTIFICATE", "KEY_VALUES")):
                return "expected PEM certificates and keys that fit each other in ca_file, cert_file and key_file"
        seen = seen.__cause__ or seen.__context__
    return None


def _check_certificates(section: str, ca: Path | None, certificate: Path | None, key: Path | None) -> None:
    for name, file in (("ca_file", ca), ("cert_file", certificate), ("key_file", key)):
        if file is not None and not file.is_file():
            raise ConfigError(f"{section}.{name}: expected a file at {file}, found none")


def _one_of(name: str, value: object, other: str, other_value: object) -> None:
    if value is not None and other_value is not None:
        raise ValueError(f"{name} and {other}: expected one of them, got both")


def _key_has_certificate(certificate: Path | None, key: Path | None) -> None:
    if key is not None and certificate is None:
        raise ValueError("key_file: expected cert_file too, got none")
