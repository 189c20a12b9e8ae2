"""``divrec replay``."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from streams.commands.options import AsJson, ConfigFile, configured, put


def replay(
    ctx: typer.Context,
    logs: Annotated[list[Path], typer.Argument(metavar="LOG...", help="Files; with --preset also directories.")],
    columns: Annotated[
        str | None,
        typer.Option(
            "--map", metavar="MAP", help="Columns of CSV, TSV or JSONL: user=reviewerID,item=asin,text=reviewText,…"
        ),
    ] = None,
    items: Annotated[list[Path] | None, typer.Option(metavar="FILE", help="A file of items; may be repeated.")] = None,
    items_map: Annotated[str | None, typer.Option(metavar="MAP", help="Columns of the items' files.")] = None,
    preset: Annotated[
        str | None, typer.Option(metavar="NAME", help="A known log: movielens, ml-100k, amazon-reviews.")
    ] = None,
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

    Without --map and --preset a log holds our own events, one JSON object a line. gzip by the name (.gz).
    """
    import msgspec
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    import streams.replay
    from divrec.data.log import open_log
    from divrec.data.mapping import parse_map

    times = _speed(speed)
    settings = configured(ctx, config)
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

        counts = streams.replay.replay(settings, log, speed=times, limit=limit, slates=slates, sent=sent)
    bad = log.rejected
    if as_json:
        put(msgspec.json.encode({"sent": counts, "rejected": bad, "rejects": str(side) if bad else None}))
        return
    sums = [f"{counts[kind]:,} {kind}" for kind in ("items", "clicks", "reviews", "requests") if counts[kind]]
    typer.echo(f"sent {', '.join(sums) or 'nothing'}")
    if bad:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(bad.items()))
        typer.echo(f"{sum(bad.values()):,} bad lines ({reasons}) are in {side}", err=True)


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
