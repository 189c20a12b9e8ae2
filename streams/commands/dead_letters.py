"""``divrec dead-letters``."""

from collections import Counter, deque
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.commands.options import AsJson, ConfigFile, configured, put

if TYPE_CHECKING:
    from divrec.config import Config
    from streams.client.dead_letters import Choice, DeadLetters, Letter
    from streams.codec import Message

SHOWN_CHARS = 16_384
"""Of a value or a detail."""
SHOWN_BYTES = 1_024
"""Of what is no text."""

Reasons = Annotated[list[str] | None, typer.Option("--reason", metavar="R", help="Of this reason; may be repeated.")]
Stages = Annotated[list[str] | None, typer.Option("--stage", metavar="S", help="Of this worker: ingest, encode, …")]
Sources = Annotated[
    list[str] | None, typer.Option("--topic", metavar="T", help="From this topic: clicks, events, or its full name.")
]
SinceTime = Annotated[
    str | None, typer.Option("--since", metavar="TIME", help="Came at this date and time, or later (UTC).")
]
User = Annotated[str | None, typer.Option(metavar="ID", help="With this key, or with this value in its JSON.")]
EventId = Annotated[str | None, typer.Option("--event-id", metavar="ID", help="Of the event in it.")]

dead_letters = typer.Typer()


def chosen(
    settings: "Config",
    reasons: list[str] | None,
    stages: list[str] | None,
    topics: list[str] | None,
    since: str | None,
    user: str | None,
    event_id: str | None,
    places: list[str] | None = None,
) -> "Choice":
    """The letters that the options name. Raises ConfigError."""
    from divrec.data.values import read_time
    from divrec.errors import ConfigError
    from streams.client.dead_letters import Choice, place_of
    from streams.topics import Topics

    names = Topics(settings)
    try:
        begin = 0 if since is None else read_time(since)
    except ValueError as error:
        raise ConfigError(f"--since: expected a date and time: {error}") from None
    return Choice(
        places=frozenset(map(place_of, places or ())),
        reasons=frozenset(reasons or ()),
        stages=frozenset(stages or ()),
        topics=frozenset(getattr(names, topic.replace("-", "_"), topic) for topic in topics or ()),
        since=begin,
        user=user,
        event_id=event_id,
    )


@dead_letters.callback(invoke_without_command=True)
def list_letters(
    ctx: typer.Context,
    reasons: Reasons = None,
    stages: Stages = None,
    topics: Sources = None,
    since: SinceTime = None,
    user: User = None,
    event_id: EventId = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="Only the latest N.")] = 100,
    count: Annotated[bool, typer.Option("--count", help="How many, by reason, worker and topic.")] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """List dead letters, the latest last, count them, or show one. Options choose what fits all of them.

    `divrec redrive` sends them back.
    """
    if ctx.invoked_subcommand is not None:
        ctx.find_root().obj = config or ctx.find_root().obj
        return
    from streams.client.dead_letters import DeadLetters

    settings = configured(ctx, config)
    letters = DeadLetters(settings, chosen(settings, reasons, stages, topics, since, user, event_id), values=False)
    if count:
        _count(letters, as_json)
    else:
        _list(letters, limit, as_json)


@dead_letters.command()
def show(
    ctx: typer.Context,
    place: Annotated[str, typer.Argument(metavar="PARTITION:OFFSET", help="Where it lies in dead-letters.")],
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Show a whole letter: why, its headers, key and value. --json has the exact bytes."""
    from divrec.errors import ConfigError
    from streams.client.dead_letters import Choice, DeadLetters, place_of

    settings = configured(ctx, config)
    letters = DeadLetters(settings, Choice(places=frozenset([place_of(place)])))
    found = list(letters)
    if not found:
        raise ConfigError(f"{place}: expected a dead letter there, found none: `divrec dead-letters` lists them")
    at = letters.markers.redriven(found[0])
    if as_json:
        _put({**_plain(found[0], at), **_whole(found[0].message)})
    else:
        _show(found[0], at)


def _count(letters: "DeadLetters", as_json: bool) -> None:
    counts: Counter[tuple[str, str, str]] = Counter()
    redriven: Counter[tuple[str, str, str]] = Counter()
    for letter in letters:
        kind = letter.reason, letter.stage, letter.topic
        counts[kind] += 1
        redriven[kind] += letters.markers.redriven(letter) is not None
    columns = "reason", "stage", "topic", "letters", "redriven"
    rows = [(*kind, count, redriven[kind]) for kind, count in sorted(counts.items(), key=lambda one: (-one[1], one[0]))]
    if as_json:
        for row in rows:
            _put(dict(zip(columns, row, strict=True)))
        return
    _table(columns, [[*map(_cell, row[:3]), f"{row[3]:,}", f"{row[4]:,}"] for row in rows], right=2)


def _list(letters: "DeadLetters", limit: int, as_json: bool) -> None:
    shown = deque(letters, maxlen=limit)
    if letters.count > limit:
        typer.echo(f"the latest {limit:,} of {letters.count:,}", err=True)
    if as_json:
        for letter in shown:
            _put(_plain(letter, letters.markers.redriven(letter)))
        return
    rows = [
        [
            str(letter.place),
            _time(letter.message.timestamp),
            _cell(letter.reason),
            _cell(letter.stage),
            _cell(letter.source),
            "" if letter.event_id == letter.source else _cell(letter.event_id),
            _cell(letter.last_line[:400]),
            "" if (at := letters.markers.redriven(letter)) is None else _time(at),
        ]
        for letter in shown
    ]
    _table(("at", "when", "reason", "stage", "source", "event id", "detail", "redriven"), rows)


def _table(columns: tuple[str, ...], rows: list[list[str]], right: int = 0) -> None:
    """``right``: so many of the last columns hold numbers."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for at, column in enumerate(columns):
        number = at >= len(columns) - right
        table.add_column(column, justify="right" if number else "left", no_wrap=at < 2, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    Console(highlight=False).print(table)


def _show(letter: "Letter", redriven: int | None) -> None:
    from rich.console import Console
    from rich.text import Text

    from streams.codec import DEAD_LETTER_HEADERS, kafka_time

    message = letter.message
    console = Console(highlight=False, soft_wrap=True)

    def line(name: str, *texts: str) -> None:
        console.print(Text.assemble((f"{name:<9}", "bold"), *texts))

    line("letter", f"{letter.place}  {_time(message.timestamp)}")
    line("reason", _cell(letter.reason))
    line("stage", _cell(letter.stage))
    line("source", f"{_cell(letter.source)}  {_time(kafka_time(message))}")
    line("event id", _cell(letter.event_id))
    line("redriven", "no" if redriven is None else _time(redriven))
    for name, value in message.headers:
        if name not in DEAD_LETTER_HEADERS:
            line("header", f"{_cell(name)} = {_brief(value)}")
    line("key", _brief(message.key))
    line("detail")
    for text in _lines(letter.detail.rstrip()):
        console.print(Text(f"  {text}"))
    line("value", "" if message.value is None else f"{len(message.value):,} bytes")
    for text in _value(message.value):
        console.print(Text(f"  {text}"))


def _value(value: bytes | None) -> list[str]:
    """Indented if it is JSON, else as text, or if it is none as bytes; the beginning of a long one."""
    from streams.client.printable import hex_lines

    if value is None:
        return ["none"]
    try:
        text = _indented(value).decode()
    except UnicodeDecodeError:
        more = len(value) - SHOWN_BYTES
        return hex_lines(value, SHOWN_BYTES) + ([f"… {more:,} more bytes"] if more > 0 else [])
    return _lines(text)


def _indented(value: bytes) -> bytes:
    import msgspec

    try:
        return msgspec.json.format(value, indent=2)
    except (msgspec.DecodeError, RecursionError):
        return value


def _lines(text: str) -> list[str]:
    from streams.client.printable import printable

    more = len(text) - SHOWN_CHARS
    lines = [printable(line) for line in text[:SHOWN_CHARS].split("\n")]
    return lines + ([f"… {more:,} more characters (--json shows all)"] if more > 0 else [])


def _brief(data: bytes | None) -> str:
    return "none" if data is None else _cell(data[:1_024].decode(errors="backslashreplace"))


def _cell(text: object) -> str:
    from streams.client.printable import printable

    return printable(str(text)[:1_024])


def _plain(letter: "Letter", redriven: int | None) -> dict[str, Any]:
    return {
        "at": str(letter.place),
        "time": letter.message.timestamp,
        "reason": letter.reason,
        "stage": letter.stage,
        "source": letter.source,
        "event_id": letter.event_id,
        "detail": letter.detail,
        "redriven": redriven,
    }


def _whole(message: "Message") -> dict[str, Any]:
    """Key, value and headers as `divrec dump` writes them: text, or base64 in an object."""
    import msgspec

    from streams.client.dump import line_of

    line = line_of(message)
    found: dict[str, Any] = msgspec.to_builtins({"key": line.key, "value": line.value, "headers": line.headers})
    return found


def _put(told: dict[str, Any]) -> None:
    import json

    put(json.dumps(told).replace("\x7f", r"\u007f").encode())  # in ASCII: no control character reaches a terminal


def _time(ms: int) -> str:
    from datetime import UTC, datetime

    try:
        return f"{datetime.fromtimestamp(ms / 1_000, UTC):%Y-%m-%d %H:%M:%S}Z"
    except (ValueError, OverflowError, OSError):  # a year that no calendar has
        return f"{ms} ms"
