"""``divrec produce``."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from streams.commands.options import AsJson, ConfigFile, configured, put

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from divrec.config import Config
    from divrec.data.mapping import Kind
    from streams.codec import Record

READ = 65_536
LONGEST = 4_000_000
KIND: "dict[str, Kind]" = {"clicks": "click", "reviews": "review", "items": "item", "requests": "request"}


class Input(StrEnum):
    clicks = "clicks"
    reviews = "reviews"
    items = "items"
    requests = "requests"


def produce(
    ctx: typer.Context,
    topic: Annotated[Input, typer.Argument(help="The input topic.")],
    file: Annotated[str, typer.Argument(help="Lines of JSON; - is the standard input.")] = "-",
    user: Annotated[str | None, typer.Option(help="One event of this user, instead of a file.")] = None,
    item: Annotated[str | None, typer.Option(help="Its item, or the item itself.")] = None,
    action: Annotated[str | None, typer.Option(help="Of a click: view, click, like, purchase, …")] = None,
    rating: Annotated[float | None, typer.Option(help="Of a click or review.")] = None,
    title: Annotated[str | None, typer.Option(help="Of an item or review.")] = None,
    text: Annotated[str | None, typer.Option(help="Of a review.")] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Send the lines as they are, unchecked.")] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Send events to an input topic: from options, a file or the standard input.

    Lines are checked as the worker would; a bad one is reported and not sent, and the status is then 1.
    """
    from divrec.errors import EventError
    from streams.kafka.sending import Inputs, Sender

    settings = configured(ctx, config)
    given = {"user_id": user, "item_id": item, "action": action, "rating": rating, "title": title, "text": text}
    event = {name: value for name, value in given.items() if value is not None}
    checked = _checked(settings, topic.value)
    sent = number = 0
    bad: list[dict[str, Any]] = []
    with Sender(settings) as sender:
        if event:
            Inputs(settings, (topic.value,))  # the event is of our own shape
        for lines in [[_line(topic.value, event)]] if event else _lines(file):
            records = []
            for line in lines:
                number += 1
                try:
                    records.append(_raw(settings, topic.value, line) if raw else checked(line))
                except EventError as error:
                    bad.append({"line": number, "reason": error.reason, "message": str(error)})
                    typer.echo(f"line {number}: {error.reason}: {error}", err=True)
            sender.send(records)
            sent += len(records)
    if as_json:
        import msgspec

        put(msgspec.json.encode({"sent": sent, "bad": bad}))
    elif not bad or sent:
        typer.echo(f"sent {sent:,} to {topic.value}", err=True)
    if bad:
        raise typer.Exit(1)


def _line(topic: str, event: dict[str, Any]) -> bytes:
    import msgspec

    return msgspec.json.encode({"kind": KIND[topic], **event})


def _lines(file: str) -> "Iterator[list[bytes]]":
    """Lines that are not empty, as many at once as there are: those of a pipe are not held back."""
    from divrec.errors import ConfigError

    if file == "-":
        yield from _split(sys.stdin.buffer)
        return
    try:
        with Path(file).open("rb") as stream:
            yield from _split(stream)
    except OSError as error:
        raise ConfigError(f"{file}: expected a file of JSON lines: {error.strerror}") from None


def _split(stream: IO[bytes]) -> "Iterator[list[bytes]]":
    from divrec.errors import ConfigError

    rest = b""
    while block := stream.read1(READ):  # type: ignore[attr-defined]
        *lines, rest = (rest + block).split(b"\n")
        if len(rest) > LONGEST:
            raise ConfigError(f"expected lines of JSON, got one of more than {LONGEST:,} bytes")
        if whole := [line for line in lines if line.strip()]:
            yield whole
    if rest.strip():
        yield [rest]


def _checked(settings: "Config", topic: str) -> "Callable[[bytes], Record]":
    from divrec.data.decode import several_decoder
    from divrec.events import Item
    from streams.codec import Record
    from streams.topics import Topics

    columns = getattr(settings.topics, topic).map
    decode = several_decoder(KIND[topic], columns, settings.feedback)
    name = getattr(Topics(settings), topic)

    def record(line: bytes) -> Record:
        event = decode(line)[0][1]
        key = event.item_id if isinstance(event, Item) else event.user_id
        return Record(name, None, key.encode(), line)

    return record


def _raw(settings: "Config", topic: str, line: bytes) -> "Record":
    from streams.codec import Record
    from streams.topics import Topics

    return Record(getattr(Topics(settings), topic), None, None, line)
