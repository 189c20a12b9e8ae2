"""Errors of divrec. Each message says what was expected, what came and what to do.

DivrecError
├── EventError        one event is wrong: it goes to the dead-letter topic, the stream goes on
├── ConfigError       the configuration or the environment is wrong: nothing starts
├── EncoderError      the text model cannot be loaded or used
├── StoreError        the profile store holds something that cannot be right
│   └── StoreUnavailable   … or cannot be reached: wait and try again
│       └── StoreRefused   … or does not let us in, which waiting may not mend
├── SnapshotError     a snapshot is missing, damaged or too old
└── DeltaError        a model-log record is invalid: refused before anything changes
"""


class DivrecError(Exception):
    """Base of everything that divrec raises on purpose."""


class EventError(DivrecError):
    """One event cannot be decoded, validated or applied.

    ``reason`` is a short stable code (the ``divrec-reason`` header of its dead letter), the message is for people.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ConfigError(DivrecError):
    """The configuration, a file it names or the environment is wrong."""


class EncoderError(DivrecError):
    """A text encoder cannot be loaded or gave something that is not a unit vector."""


class StoreError(DivrecError):
    """The profile store holds something that contradicts the log."""


class StoreUnavailable(StoreError):
    """The profile store cannot be reached now."""


class StoreRefused(StoreUnavailable):
    """The profile store answers and does not let us in: a wrong password, or a certificate that is not trusted."""


class SnapshotError(DivrecError):
    """A snapshot is missing, damaged, or older than the log reaches back."""


class DeltaError(DivrecError):
    """A model-log record is invalid."""
