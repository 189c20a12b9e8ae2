"""``divrec backfill``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.commands.logs import Columns, ItemsMap, Logs, Preset
from streams.commands.options import AsJson, ConfigFile, configured, put

if TYPE_CHECKING:
    from divrec.backfill import Backfill, History
    from divrec.config import Config
    from divrec.text.encoder import Encoder


def backfill(
    ctx: typer.Context,
    logs: Logs,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the new generation is made.")],
    redis: Annotated[
        str | None, typer.Option(metavar="URL", help="Load the profiles into this Redis at the end.")
    ] = None,
    columns: Columns = None,
    items: Annotated[list[Path] | None, typer.Option(metavar="FILE", help="A file of items; may be repeated.")] = None,
    items_map: ItemsMap = None,
    preset: Preset = None,
    encode: Annotated[bool, typer.Option("--encode", help="Give reviews their vectors: as slow as BERT is.")] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Make a generation of history: learn logs in one process, without a broker, for workers to start from.

    Without --map and --preset a log holds our own events, one JSON object a line, or is a file of `divrec dump`.
    Killed, it goes on from its last checkpoint when it is started again.
    """
    import asyncio

    import msgspec

    from divrec.backfill import Backfill
    from divrec.errors import ConfigError
    from streams.memory import quiet_collector, return_large_blocks

    settings = configured(ctx, config, {"redis": {"url": redis}} if redis else None)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--out: expected a directory that can be made at {out}: {error.strerror}") from None
    history = _history(settings, logs, out / "rejects.jsonl", columns, items or [], items_map, preset, encode)
    quiet_collector()
    return_large_blocks()
    with history, Backfill(settings, out, history) as work:
        _learn(work, history)
        loaded = asyncio.run(_load(work, settings)) if redis else 0
        place, users = work.place, len(work.profiles)
    bad = history.rejected
    if as_json:
        told = msgspec.to_builtins(place) | {"users": users, "loaded": loaded, "rejected": bad}
        put(msgspec.json.encode(told))
        return
    counts = ", ".join(f"{count:,} {kind}" for kind, count in place.kinds.items())
    typer.echo(f"{users:,} users, {counts or 'no events'}; model digest {place.digest}")
    if place.refused:
        typer.echo(f"not learned: {_sums(place.refused)}", err=True)
    if bad:
        typer.echo(f"{sum(bad.values()):,} bad lines ({_sums(bad)}) are in {out / 'rejects.jsonl'}", err=True)
    where = f"{loaded:,} profiles are in Redis" if redis else "the same command with --redis URL loads the profiles"
    typer.echo(
        f"To start workers from it: generation = {place.generation!r}, copy {out / 'snapshots'} into the state_dir of "
        f"each machine; {where}"
    )


def _sums(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in sorted(counts.items()))


def _history(
    settings: "Config",
    logs: list[Path],
    rejects: Path,
    columns: str | None,
    items: list[Path],
    items_map: str | None,
    preset: str | None,
    encode: bool,
) -> "History":
    from divrec.backfill import RawLog
    from divrec.data.log import open_log
    from divrec.data.mapping import parse_map
    from divrec.errors import ConfigError
    from streams.client.dump import EventsDump, is_dump
    from streams.topics import partition_of

    partitions = settings.kafka.partitions
    mapped = parse_map(columns) if columns else None
    dumps = [path for path in logs if mapped is None and preset is None and path.is_file() and is_dump(path)]
    catalogs = [path for path in items if items_map is None and path.is_file() and is_dump(path)]
    if len(dumps) not in (0, len(logs)):
        raise ConfigError("LOG: expected dumps of events, or logs of another shape, got both")
    if catalogs and not dumps:
        raise ConfigError("--items: a dump of catalog goes with a dump of events, got one with another log")
    log = open_log(
        [] if dumps else logs,
        map=mapped,
        items=[path for path in items if path not in catalogs],
        items_map=parse_map(items_map) if items_map else None,
        preset=preset,
        feedback=settings.feedback,
        rejects=rejects,
    )
    if dumps:
        return EventsDump(settings, dumps, catalogs, log)
    return RawLog(log, lambda user: partition_of(user, partitions), cached_encoder(settings) if encode else None)


def cached_encoder(settings: "Config") -> "Encoder":
    """The text model, in front of it the vectors that earlier runs kept."""
    from divrec.text.cache import CachedEncoder
    from divrec.text.encoder import load_encoder

    config = settings.encoder
    encoder = load_encoder(config)
    file = config.cache_dir.expanduser() / f"vectors-{encoder.dimensions}.sqlite"
    return CachedEncoder(encoder, file, config.cache_bytes)


def _learn(work: "Backfill", history: "History") -> None:
    """Run it, showing how far it is: what is read first, then what is learned."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    text, bar, left = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn()
    with (
        Progress(text, bar, DownloadColumn(), left, console=console) as reading,
        Progress(text, bar, MofNCompleteColumn(), left, console=console, disable=True) as learning,
    ):
        read = reading.add_task("reading", total=history.total_bytes)
        learn = learning.add_task("learning", total=None)
        history.progress = lambda more: reading.advance(read, more)

        def told(taken: int) -> None:
            if history.events_read and not learning.live.is_started:
                reading.stop()
                learning.disable = False
                learning.start()
            learning.update(learn, completed=taken, total=history.events_read or None)

        work.run(told)


async def _load(work: "Backfill", settings: "Config") -> int:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from divrec.backfill import load
    from divrec.state.redis import RedisStore

    store = RedisStore(settings.redis, f"{settings.kafka.prefix}{settings.generation}")
    try:
        with Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=Console(stderr=True)
        ) as loading:
            task = loading.add_task("loading profiles", total=len(work.profiles))
            return await load(work.profiles, work.place, store, lambda done: loading.update(task, completed=done))
    finally:
        await store.close()
