"""``divrec tail``."""

import logging
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from streams.commands.options import AsJson, ConfigFile, configured, put

if TYPE_CHECKING:
    from divrec.config import Config
    from streams.codec import Message


class TopicName(StrEnum):
    recommendations = "recommendations"
    dead_letters = "dead-letters"
    events = "events"
    clicks = "clicks"
    reviews = "reviews"
    items = "items"
    requests = "requests"
    catalog = "catalog"
    item_vectors = "item-vectors"
    model_log = "model-log"
    metrics = "metrics"


class Begin(StrEnum):
    start = "start"
    end = "end"


def tail(
    ctx: typer.Context,
    topic: Annotated[TopicName, typer.Argument(help="The topic.")] = TopicName.recommendations,
    begin: Annotated[Begin, typer.Option("--from", help="From the topic's start, or only what is new.")] = Begin.end,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="End after N messages.")] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Show the messages of a topic as they come, until Ctrl-C."""
    import asyncio

    settings = configured(ctx, config)
    show = _plain if as_json else _shower(settings, topic)
    asyncio.run(_follow(settings, topic, begin, limit, show))


async def _follow(
    settings: "Config", topic: TopicName, begin: Begin, limit: int | None, show: "Callable[[Message], None]"
) -> None:
    from streams.kafka.reading import reading
    from streams.topics import Topics

    name = getattr(Topics(settings), topic.name)
    async with reading(settings, name, begin.value) as reader:
        logging.getLogger("aiokafka").setLevel(logging.ERROR)  # says when the broker goes away: it is waited for
        shown = 0
        while limit is None or shown < limit:
            messages = await reader.read(0.5)
            for message in messages if limit is None else messages[: limit - shown]:
                show(message)
                shown += 1


def _plain(message: "Message") -> None:
    """The value, if it is JSON and no dead letter; else what there is, in an object that tells about it."""
    import base64

    import msgspec

    from streams.codec import DETAIL, EVENT_ID, OFFSET, PARTITION, REASON, REDRIVEN, STAGE, TOPIC

    value = message.value
    letter = message.header(REASON) is not None
    marker = not letter and message.header(REDRIVEN) is not None
    if value and not letter and _is_json(value):
        put(value)
        return
    told: dict[str, object] = {}
    if letter or marker:
        about = (REASON, DETAIL, STAGE) if letter else (REDRIVEN,)
        for name in (*about, TOPIC, PARTITION, OFFSET, EVENT_ID):
            told[name.removeprefix("divrec-").replace("-", "_")] = (message.header(name) or b"").decode(
                errors="replace"
            )
    told["key"] = None if message.key is None else message.key.decode(errors="replace")
    try:
        told["value"] = None if value is None else value.decode()
    except UnicodeDecodeError:
        told["value_base64"] = base64.b64encode(value or b"").decode()
    put(msgspec.json.encode(told))


def _is_json(value: bytes) -> bool:
    import msgspec

    try:
        msgspec.json.decode(value, type=msgspec.Raw)
    except msgspec.DecodeError:
        return False
    return b"\n" not in value


def _shower(settings: "Config", topic: TopicName) -> "Callable[[Message], None]":
    from rich.console import Console

    console = Console(highlight=False)
    if topic is TopicName.recommendations:
        return _slates(settings, console.print)
    show = {TopicName.dead_letters: _letter, TopicName.metrics: _quality}.get(topic, _line)
    return lambda message: console.print(show(message))


def _slates(settings: "Config", output: Callable[[str], None]) -> "Callable[[Message], None]":
    import asyncio

    from divrec.explain.words import in_words, ruled, taken_out
    from streams.client.printable import marked
    from streams.client.wording import read_titles
    from streams.codec import decode_recommendation

    titles = asyncio.run(read_titles(settings))

    def show(message: "Message") -> None:
        slate = decode_recommendation(message.value or b"")
        lines = [f"[bold]{marked(slate.user_id)}[/]  {_time(slate.made_at)}  {marked(slate.recommendation_id)}"]
        for item in slate.items:
            why = "; ".join([*(in_words(reason, titles) for reason in item.reasons), *ruled(item)])
            name = titles.get(item.item_id)
            label = f"{item.item_id}  {name}" if name else item.item_id
            lines.append(f"  {item.position:>2}  {marked(label)}  [dim]{marked(why)}[/]")
        if slate.removed:
            lines.append(f"      [dim]{marked(taken_out(slate.removed))}[/]")
        output("\n".join(lines))

    return show


def _letter(message: "Message") -> str:
    from streams.client.printable import marked
    from streams.codec import DETAIL, EVENT_ID, OFFSET, PARTITION, REASON, REDRIVEN, STAGE, TOPIC

    def told(name: str) -> str:
        return marked((message.header(name) or b"?").decode(errors="replace"))

    where = f"{told(TOPIC)}:{told(PARTITION)}:{told(OFFSET)}  id {told(EVENT_ID)}  {_time(message.timestamp)}"
    if message.header(REASON) is None:
        return f"[bold]redriven[/] {told(REDRIVEN)}  {where}"
    detail = (message.header(DETAIL) or b"?").decode(errors="replace")
    value = "" if message.value is None else message.value[:400].decode(errors="replace")
    return "\n".join(
        [
            f"[bold red]{told(REASON)}[/]  {told(STAGE)}  {where}",
            *(f"  {marked(line)}" for line in detail.split("\n")),
            f"  [dim]{marked(value)}[/]",
        ]
    )


def _quality(message: "Message") -> str:
    """A worker's figures by name, and those of the most popular items in brackets."""
    import msgspec

    from divrec.events import ListQuality, Quality
    from streams.client.printable import marked

    told = msgspec.json.decode(message.value or b"", type=Quality)
    accuracy = ("hr", told.hr, told.popularity_hr), ("ndcg", told.ndcg, told.popularity_ndcg)
    slates, popular = told.slates or ListQuality(), told.popularity or ListQuality()
    lists = [(name, getattr(slates, name), getattr(popular, name)) for name in ListQuality.__struct_fields__]
    lines = [f"[bold]{marked(told.worker)}[/]  {_time(told.ts)}  k {told.k}; in brackets: the most popular items"]
    for count, what, figures in ((told.tests, "tests", accuracy), (told.lists, "lists", lists)):
        shown = [f"{name} {value:.3f}{_beside(other)}" for name, value, other in figures if value is not None]
        if shown:
            lines.append(f"  {count:>6,} {what}  {'  '.join(shown)}")
    return "\n".join(lines)


def _beside(value: float | None) -> str:
    return "" if value is None else f" ({value:.3f})"


def _line(message: "Message") -> str:
    from streams.client.printable import marked

    key = "" if message.key is None else message.key.decode(errors="replace")
    value = message.value
    shown = "deleted" if value is None else value.decode() if _is_json(value) else f"{len(value):,} bytes"
    return f"[dim]{message.partition}:{message.offset}  {_time(message.timestamp)}[/]  {marked(key)}  {marked(shown)}"


def _time(ms: int) -> str:
    from datetime import datetime

    return datetime.fromtimestamp(ms / 1_000).isoformat(sep=" ", timespec="milliseconds")
