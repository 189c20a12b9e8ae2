"""Options that several commands have, and the configuration they name."""

import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from divrec.config import Config

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Configuration file; default: DIVREC_CONFIG, else divrec.toml."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Language = Annotated[Literal["en", "zh"], typer.Option(help="Language of the reasons.")]


def configured(ctx: typer.Context, file: Path | None, overrides: Mapping[str, Any] | None = None) -> "Config":
    """The configuration that ``--config`` names, before or after the command. Raises ConfigError."""
    from divrec.config import load_config
    from streams.health.logs import start_logging

    start_logging("WARNING")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what it cannot do, the command says itself
    return load_config(named(ctx, file), overrides)


def named(ctx: typer.Context, file: Path | None) -> Path | None:
    """The configuration file that was named, before or after the command."""
    if file is not None:
        return file
    root: Path | None = ctx.find_root().obj
    return root


def put(data: bytes) -> None:
    """A line of JSON to the standard output, at once: somebody may be reading it through a pipe."""
    sys.stdout.buffer.write(data + b"\n")
    sys.stdout.buffer.flush()
