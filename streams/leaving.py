"""How a worker ends: its exit codes, and the end without delay."""

import logging
import os
import sys
from collections.abc import Callable
from typing import NoReturn

EXIT_OK = 0
EXIT_CRASHED = 70
"""An unexpected error: nothing of the batch is acknowledged, start the worker again."""
EXIT_UNDRAINED = 75
"""It was told to stop and could not finish its batch in time: the batch is repeated."""
EXIT_CONFIG = 78
"""The configuration or the topics are wrong: starting again does not help."""
EXIT_ENCODER = 69
"""The text model cannot be loaded."""
EXIT_SNAPSHOT = 66
"""The snapshot is missing, damaged or too old for the model log."""

last_steps: list[Callable[[], None]] = []
"""Called by ``leave``; they must be quick and may be called in any thread."""


def leave(code: int) -> NoReturn:
    """End the process now: nothing that is still held is acknowledged, no clean-up delays it."""
    try:
        for step in last_steps:
            step()
        for handler in logging.getLogger().handlers:
            handler.flush()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)
