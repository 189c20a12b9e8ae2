"""``divrec dump``."""

from pathlib import Path
from typing import Annotated

import typer

from streams.commands.options import ConfigFile, configured
from streams.commands.tail import TopicName


def dump(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option(metavar="FILE", help="JSONL, or JSONL.GZ; it must not exist.")],
    topic: Annotated[TopicName, typer.Argument(help="The topic.")] = TopicName.events,
    config: ConfigFile = None,
) -> None:
    """Write a topic to a file, exactly: what it holds now, with offsets, times, keys and headers.

    A dump of events is what `divrec backfill` makes a generation of.
    """
    import gzip

    from rich.console import Console
    from rich.progress import Progress, TextColumn

    from divrec.errors import ConfigError
    from streams.client.dump import dumped
    from streams.kafka.reading import read_topic
    from streams.topics import Topics

    settings = configured(ctx, config)
    name = getattr(Topics(settings), topic.name)
    if out.exists():
        raise ConfigError(f"--out: expected a file that is not there yet, found {out}")
    written = out.with_name(f".{out.name}.part")
    count = 0
    try:
        with (
            written.open("wb") as raw,
            gzip.GzipFile(filename="", fileobj=raw, mode="wb") if out.suffix == ".gz" else raw as file,
            Progress(TextColumn("{task.completed:,} messages"), console=Console(stderr=True)) as progress,
        ):
            task = progress.add_task("")
            for messages in read_topic(settings, name, "start"):
                file.writelines(dumped(message) + b"\n" for message in messages)
                count += len(messages)
                progress.update(task, completed=count)
        written.rename(out)
    except OSError as error:
        raise ConfigError(f"--out: expected a file that can be written at {out}: {error.strerror}") from None
    finally:
        written.unlink(missing_ok=True)
    typer.echo(f"{count:,} messages of {name} are in {out}", err=True)
