"""``divrec replay``."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.commands.logs import LOG_HELP, Columns, ItemsMap, Preset
from streams.commands.options import AsJson, ConfigFile, configured, put

if TYPE_CHECKING:
    from divrec.config import Config
    from streams.kafka.reading import Start


def replay(
    ctx: typer.Context,
    logs: Annotated[list[Path] | None, typer.Argument(metavar="[LOG...]", help=LOG_HELP)] = None,
    topic: Annotated[
        str | None, typer.Option("--from-topic", metavar="TOPIC", help="Instead of files: what a Kafka topic holds.")
    ] = None,
    begin: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="start|OFFSET|TIME",
            help="Where in the topic: an offset (in every partition), or a date and time (Kafka's timestamps).",
        ),
    ] = "start",
    columns: Columns = None,
    items: Annotated[list[Path] | None, typer.Option(metavar="FILE", help="A file of items; may be repeated.")] = None,
    items_map: ItemsMap = None,
    preset: Preset = None,
    speed: Annotated[str, typer.Option(metavar="N|max", help="N times as fast as it happened.")] = "max",
    limit: Annotated[int | None, typer.Option(min=0, metavar="N", help="Only the first N events.")] = None,
    slates: Annotated[bool, typer.Option("--slates", help="Let the replayed events make recommendations.")] = False,
    rejects: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where bad lines go; default: LOG.rejects.jsonl, here.")
    ] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Send historical logs to the input topics: items first, then events by time. A second time changes nothing.

    Without --map and --preset a log holds our own events, one JSON object a line. gzip by the name (.gz). With
    --from-topic the messages of a topic, up to its present end, in the order in which they came.
    """
    import msgspec
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    import streams.client.replay
    from divrec.data.log import open_log
    from divrec.data.mapping import parse_map
    from divrec.errors import ConfigError

    times = _speed(speed)
    settings = configured(ctx, config)
    if topic is not None:
        if logs or items or items_map or preset or rejects:
            raise ConfigError("--from-topic: expected neither LOG nor --items, --items-map, --preset or --rejects")
        _from_topic(settings, topic, begin, columns, times, limit, slates, as_json)
        return
    if not logs:
        raise ConfigError("expected a LOG or --from-topic, got neither")
    side = rejects or Path(f"{logs[0].resolve().name}.rejects.jsonl")
    log = open_log(
        logs,
        map=parse_map(columns) if columns else None,
        items=items or (),
        items_map=parse_map(items_map) if items_map else None,
        preset=preset,
        feedback=settings.feedback,
        rejects=side,
    )
    console = Console(stderr=True)
    text, bar, left = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn()
    with (
        log,
        Progress(text, bar, DownloadColumn(), left, console=console) as reading,
        Progress(text, bar, MofNCompleteColumn(), left, console=console, disable=True) as sending,
    ):
        read = reading.add_task("reading", total=log.total_bytes)
        send = sending.add_task("sending events", total=None)
        log.progress = lambda more: reading.advance(read, more)

        def sent(counts: Counter[str]) -> None:
            events = counts.total() - counts["items"]
            if events and not sending.live.is_started:
                reading.stop()
                sending.disable = False
                sending.start()
            sending.update(send, completed=events, total=_least(log.events_read, limit))

        counts = streams.client.replay.replay(settings, log, speed=times, limit=limit, slates=slates, sent=sent)
    bad = log.rejected
    if as_json:
        put(msgspec.json.encode({"sent": counts, "rejected": bad, "rejects": str(side) if bad else None}))
        return
    typer.echo(_sent(counts))
    if bad:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(bad.items()))
        typer.echo(f"{sum(bad.values()):,} bad lines ({reasons}) are in {side}", err=True)


def _sent(counts: Counter[str]) -> str:
    sums = [f"{counts[kind]:,} {kind}" for kind in ("items", "clicks", "reviews", "requests") if counts[kind]]
    return f"sent {', '.join(sums) or 'nothing'}"


def _from_topic(
    settings: "Config",
    topic: str,
    begin: str,
    columns: str | None,
    speed: float | None,
    limit: int | None,
    slates: bool,
    as_json: bool,
) -> None:
    import msgspec
    from rich.console import Console
    from rich.progress import Progress, TextColumn

    from divrec.data.mapping import parse_map
    from streams.client.replay import replay_topic

    start = _start(begin)
    mapped = parse_map(columns) if columns else None
    with Progress(TextColumn("{task.completed:,} events sent"), console=Console(stderr=True)) as progress:
        task = progress.add_task("")
        counts, refused = replay_topic(
            settings,
            topic,
            start,
            columns=mapped,
            speed=speed,
            limit=limit,
            slates=slates,
            sent=lambda counts: progress.update(task, completed=counts.total()),
        )
    if as_json:
        put(msgspec.json.encode({"sent": counts, "rejected": refused, "rejects": None}))
        return
    typer.echo(_sent(counts))
    if refused:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(refused.items()))
        typer.echo(f"{refused.total():,} messages of {topic} are no events ({reasons})", err=True)


def _start(text: str) -> "Start":
    from divrec.data.values import read_time
    from divrec.errors import ConfigError
    from streams.kafka.reading import Since

    if text == "start":
        return "start"
    try:
        return int(text) if text.isdecimal() else Since(read_time(text))
    except ValueError as error:
        raise ConfigError(f"--from: expected start, an offset, or a date and time: {error}") from None


def _speed(text: str) -> float | None:
    from divrec.errors import ConfigError

    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0.0 < speed < float("inf"):
        raise ConfigError(f"--speed: expected a number above 0 or max, got {text!r}")
    return speed


def _least(read: int, limit: int | None) -> int:
    return read if limit is None else min(read, limit)
