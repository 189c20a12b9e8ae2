"""How a worker says that it is ready: the file ``<worker.state_dir>/<name>.ready``, holding its process id.

The worker writes it when it has joined its consumer group and removes it when it leaves. The local stack and a health
check read it; the process id tells a live worker's file from one that a killed worker left behind.
"""

import socket
from pathlib import Path

from divrec.config import Config


def ready_file(config: Config, name: str) -> Path:
    return config.worker.state_dir.expanduser() / f"{name}.ready"


def mark_ready(config: Config, name: str, pid: int) -> None:
    """Say that worker ``name``, running as ``pid``, is ready."""
    file = ready_file(config, name)
    file.parent.mkdir(parents=True, exist_ok=True)
    written = file.with_suffix(f".{socket.gethostname()}.{pid}")  # containers share a directory and count from 1 each
    written.write_text(f"{pid}\n")
    written.replace(file)


def clear_ready(config: Config, name: str) -> None:
    ready_file(config, name).unlink(missing_ok=True)


def is_ready(config: Config, name: str, pid: int) -> bool:
    """Whether worker ``name`` with this process id has said so."""
    try:
        return ready_file(config, name).read_text().strip() == str(pid)
    except OSError:
        return False
