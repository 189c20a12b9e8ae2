"""``divrec evaluate``."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.commands.evaluate_policy import evaluate_policy
from streams.commands.logs import Columns, ItemsMap, Logs, Preset, tell_rejected
from streams.commands.options import ConfigFile, configured

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

    from divrec.config import Config
    from divrec.evaluate.content import Content
    from divrec.evaluate.prequential import Evaluation
    from divrec.evaluate.stream import Stream
    from divrec.events import Item

_ENCODED_AT_ONCE = 256


def evaluate(
    ctx: typer.Context,
    logs: Logs,
    columns: Columns = None,
    preset: Preset = None,
    items: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="A file of items, for their categories; may be repeated.")
    ] = None,
    items_map: ItemsMap = None,
    encode: Annotated[
        bool, typer.Option("--encode", help="Give items their vectors: as slow as BERT is, the first time.")
    ] = False,
    positive: Annotated[
        str | None,
        typer.Option(
            metavar="WHAT", help="The least positive rating, or actions: purchase,like. Default: 4, or every event."
        ),
    ] = None,
    models: Annotated[str | None, typer.Option(metavar="NAMES", help="With commas between; `?` lists them.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Only the first N events.")] = None,
    repeats: Annotated[bool, typer.Option("--repeats", help="Keep repeated events; recommend what was had.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Shuffles events of the same time.")] = 0,
    as_json: Annotated[Path | None, typer.Option("--json", metavar="OUT", help="Write all figures as JSON.")] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Write an HTML page with curves over the stream.")
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option(
            metavar="SLATES",
            help="Instead: what other policies would have earned, from a dump of recommendations and what users did "
            "then, in LOG.",
        ),
    ] = None,
    within: Annotated[
        str, typer.Option(metavar="TIME", help="With --policy: how long after a slate a turn to its items counts.")
    ] = "24h",
    config: ConfigFile = None,
) -> None:
    """Measure how well models rank on a log: each positive event first tests all of them, then they learn from it.

    Without --map and --preset a log holds our own events, one JSON object a line; with --policy also a dump of events.
    """
    import msgspec
    from rich.console import Console

    from divrec.evaluate.content import Content
    from divrec.evaluate.models import MODELS, check_names, default_names
    from divrec.evaluate.report import INTERVAL, tables
    from divrec.evaluate.report import as_json as figures
    from streams.memory import quiet_collector

    if policy is not None:
        _with_policy_alone(
            items=items, items_map=items_map, encode=encode, models=models, limit=limit, repeats=repeats, report=report
        )
        _check_place(as_json)
        told = positive_rule(positive)
        evaluate_policy(configured(ctx, config), policy, logs, columns, preset, told, within, as_json)
        return
    if models == "?":
        for name, meaning in MODELS.items():
            typer.echo(f"{name:20} {meaning}")
        return
    names = [name.strip() for name in models.split(",")] if models else default_names(repeats=repeats)
    check_names(names, repeats=repeats)
    for out in (as_json, report):
        _check_place(out)
    settings = configured(ctx, config)
    stream, described = _read(
        settings, logs, columns, preset, items or [], items_map, positive_rule(positive), repeats, limit, seed
    )
    quiet_collector()
    content = _encoded(settings, stream, described) if encode else Content(described)
    evaluation = _measure(settings, stream, content, names)
    console = Console()
    console.print(
        f"{len(stream):,} events of {len(stream.users):,} users with {len(stream.items):,} items; "
        f"positive: {stream.rule}",
        highlight=False,
    )
    for table in tables(evaluation):
        console.print(table)
    console.print(INTERVAL, highlight=False)
    if as_json is not None:
        as_json.write_bytes(msgspec.json.format(msgspec.json.encode(figures(evaluation, stream))) + b"\n")
    if report is not None:
        from divrec.evaluate.page import page

        report.write_text(page(evaluation, stream), "utf-8")


def _with_policy_alone(**others: object) -> None:
    """Raises ConfigError for an option that --policy would not heed."""
    from divrec.errors import ConfigError

    for name, value in others.items():
        if value:
            raise ConfigError(f"--policy: expected none of the options of models, got --{name.replace('_', '-')}")


def _check_place(out: Path | None) -> None:
    """Raises ConfigError before hours of work, not after them."""
    from divrec.errors import ConfigError

    if out is not None and not out.resolve().parent.is_dir():
        raise ConfigError(f"{out}: expected an existing directory, found none at {out.parent}")


def positive_rule(told: str | None) -> "float | frozenset[str] | None":
    """What ``--positive`` says. Raises ConfigError."""
    from divrec.errors import ConfigError
    from divrec.evaluate.stream import ACTIONS

    if told is None:
        return None
    try:
        return float(told)
    except ValueError:
        names = frozenset(name.strip() for name in told.split(","))
    if unknown := sorted(names.difference(ACTIONS)):
        raise ConfigError(
            f"--positive: expected a rating or some of {', '.join(ACTIONS)}, got {', '.join(map(repr, unknown))}"
        )
    return names


def _read(
    settings: "Config",
    logs: list[Path],
    columns: str | None,
    preset: str | None,
    items: list[Path],
    items_map: str | None,
    positive: "float | frozenset[str] | None",
    repeats: bool,
    limit: int | None,
    seed: int,
) -> "tuple[Stream, dict[str, Item]]":
    from rich.progress import DownloadColumn

    from divrec.data.log import open_log
    from divrec.data.mapping import parse_map
    from divrec.evaluate.stream import WIDE, read_stream

    history = open_log(
        logs,
        map=parse_map(columns) if columns else None,
        preset=preset,
        feedback=settings.feedback if preset else WIDE,
    )
    catalog = open_log([], items=items, items_map=parse_map(items_map) if items_map else None)
    with history, catalog, _progress(DownloadColumn()) as reading:
        task = reading.add_task("reading", total=history.total_bytes + catalog.total_bytes)
        history.progress = catalog.progress = lambda more: reading.advance(task, more)
        described = {item.item_id: item for log in (history, catalog) for item in log.items()}
        stream = read_stream(history, settings.feedback, positive=positive, repeats=repeats, limit=limit, seed=seed)
    tell_rejected(Counter(history.rejected) + Counter(catalog.rejected))
    return stream, described


def _progress(counts: "ProgressColumn") -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    text = TextColumn("{task.description}")
    return Progress(text, BarColumn(), counts, TimeRemainingColumn(), console=Console(stderr=True))


def _encoded(settings: "Config", stream: "Stream", items: "dict[str, Item]") -> "Content":
    """The items of the stream with terms and vectors, as the encode worker gives them."""
    from rich.progress import MofNCompleteColumn

    from divrec.backfill import described
    from divrec.evaluate.content import Content
    from divrec.events import pack_vector
    from divrec.text.content import item_text
    from streams.commands.backfill import cached_encoder

    encoder = cached_encoder(settings)
    held = {item_id: described(items[item_id]) for item_id in stream.items if item_id in items}
    texts = {item_id: text for item_id, item in held.items() if (text := item_text(item))}
    vectors: dict[str, bytes] = {}
    with _progress(MofNCompleteColumn()) as encoding:
        for first in encoding.track(range(0, len(texts), _ENCODED_AT_ONCE), description="encoding"):
            batch = list(texts)[first : first + _ENCODED_AT_ONCE]
            found = encoder.encode([texts[item_id] for item_id in batch])
            vectors.update(zip(batch, map(pack_vector, found), strict=True))
    return Content(held, encoder.name, vectors)


def _measure(settings: "Config", stream: "Stream", content: "Content", names: list[str]) -> "Evaluation":
    from rich.progress import MofNCompleteColumn

    from divrec.evaluate.models import REFERENCE, passes
    from divrec.evaluate.prequential import evaluate as measure

    made = passes(names, stream, settings, content)
    with _progress(MofNCompleteColumn()) as progress:
        task = progress.add_task("evaluating", total=len(made) * len(stream))
        return measure(
            stream,
            made,
            reference=REFERENCE,
            content=content,
            told=lambda behind: progress.update(task, completed=behind),
        )
