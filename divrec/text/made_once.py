"""Directories that are made on first use and then shared: models unpacked, or exported to another format."""

import fcntl
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

from divrec.errors import EncoderError

logger = logging.getLogger(__name__)


def made_once(directory: Path, make: Callable[[Path], None], what: str) -> Path:
    """``directory``, which ``make`` has filled under another name: complete or absent at any time.

    Of several processes one makes it and the others wait. Raises what ``make`` raises, and EncoderError where nothing
    can be written.
    """
    if directory.is_dir():
        return directory
    partial = directory.with_name(directory.name + ".partial")
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with directory.with_name(directory.name + ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not directory.is_dir():
                logger.info("%s into %s", what, directory)
                shutil.rmtree(partial, ignore_errors=True)
                make(partial)
                partial.rename(directory)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise EncoderError(
            f"{what}: cannot write (some 500 MB) into {directory}: {error}; "
            f"make room or set encoder.cache_dir to a directory that can be written"
        ) from None
    return directory
