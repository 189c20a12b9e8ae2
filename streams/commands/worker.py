"""``divrec worker`` and ``divrec up``."""

import tomllib
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from streams.commands.options import AsJson, ConfigFile, configured, named, put


class WorkerName(StrEnum):
    INGEST = "ingest"
    ENCODE = "encode"
    RECOMMEND = "recommend"


def worker(
    ctx: typer.Context,
    name: Annotated[WorkerName, typer.Argument(help="Which worker.")],
    from_oldest: Annotated[
        bool,
        typer.Option("--from-oldest", help="Start although the model log no longer reaches back to a snapshot."),
    ] = False,
    config: ConfigFile = None,
) -> None:
    """Run one worker until SIGTERM or Ctrl-C."""
    from importlib import import_module

    from divrec.errors import ConfigError
    from streams.leaving import EXIT_CONFIG

    try:
        settings = configured(ctx, config, {"worker": {"from_oldest": True}} if from_oldest else None)
    except ConfigError as error:  # its own status, by which a supervisor sees that another start is in vain
        typer.echo(f"divrec: {error}", err=True)
        raise typer.Exit(EXIT_CONFIG) from None
    raise typer.Exit(import_module(f"streams.{name.value}").run(settings))


def up(
    ctx: typer.Context,
    directory: Annotated[Path, typer.Argument(help="Its logs, state and divrec.toml.")] = Path(".divrec/stack"),
    workers: Annotated[str, typer.Option(help="Workers to run, commas between.")] = ",".join(WorkerName),
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Run a local stack (broker in memory, Valkey, workers) until Ctrl-C. --config: settings of its workers."""
    from rich.console import Console

    from divrec.config import load_config
    from divrec.errors import ConfigError
    from streams.health.logs import start_logging
    from streams.local.stack import LocalStack

    names = [part.strip() for part in workers.split(",") if part.strip()]
    if unknown := sorted(set(names) - set(WorkerName)):
        raise ConfigError(f"--workers: expected some of {', '.join(WorkerName)}, got {', '.join(unknown)}")
    start_logging("WARNING")
    settings: dict[str, Any] = {}
    if file := named(ctx, config):
        load_config(file)  # tells what is wrong with it
        settings = tomllib.loads(file.read_text("utf-8"))
    stack = LocalStack(directory, names, settings=settings)
    with ExitStack() as leaving:
        with Console(stderr=True).status("starting broker, Valkey and workers (the first start also unpacks BERT)"):
            leaving.enter_context(stack)
        if as_json:
            import msgspec

            put(msgspec.json.encode(stack.info()))
        else:
            typer.echo(_welcome(stack.info(), stack.config_file))
        stack.wait()


def _welcome(info: Any, file: Path) -> str:
    return "\n".join(
        [
            f"Kafka      {info.brokers}",
            f"Redis      {info.redis}",
            f"logs       {file.parent / 'logs'}",
            *(f"{name:<10} {process.http}/metrics" for name, process in info.processes.items() if process.http),
            "",
            "In another terminal:",
            f"  export DIVREC_CONFIG={file}",
            "  divrec tail                                         # recommendations as they are published",
            "  divrec produce clicks --user ann --item tea --action like",
            "  divrec recommend ann",
            "",
            "Ctrl-C ends it; the topics are in memory and go with it.",
        ]
    )
