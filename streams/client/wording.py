"""Slates for people: titles, and reasons in words."""

import time
from collections.abc import Mapping

import msgspec
from rich.table import Table

from divrec.config import Config
from divrec.events import Reason, Recommendation
from streams.client.printable import marked
from streams.kafka.reading import reading
from streams.topics import Topics

TITLES_WITHIN_S = 5.0

Titles = Mapping[str, str]


class _Titled(msgspec.Struct):
    item_id: str
    title: str = ""


async def read_titles(config: Config) -> dict[str, str]:
    """Titles by item from the ``catalog`` topic: of a very large catalogue those that can be read in 5 s."""
    decode = msgspec.json.Decoder(_Titled).decode
    titles: dict[str, str] = {}
    deadline = time.monotonic() + TITLES_WITHIN_S
    async with reading(config, Topics(config).catalog, "start") as reader:
        while not await reader.caught_up() and time.monotonic() < deadline:
            for message in await reader.read():
                if message.value:
                    item = decode(message.value)
                    titles[item.item_id] = item.title
    return titles


def title_of(item_id: str | None, titles: Titles) -> str:
    return (item_id and titles.get(item_id)) or (f"item {item_id}" if item_id else "what you liked")


def in_words(reason: Reason, titles: Titles) -> str:
    past = title_of(reason.item_id, titles)
    match reason.code:
        case "item_neighbour":
            return f"goes with {past}"
        case "transition":
            return f"often next after {past}"
        case "content":
            return f"reads like {past}"
        case "review":
            return "reads like your reviews"
        case "keyword":
            return f"your interest: {reason.keyword}"
        case "similar_user":
            return "liked by people who like what you like"
        case "well_rated":
            return "well rated"
        case "popular_now":
            return "popular now"
        case "popular":
            return "popular"
        case "repeat":
            return "you turned to it before"
        case "fresh":
            return "new"
        case "explored":
            return "shown to learn about it"


def _with_share(reason: Reason, titles: Titles) -> str:
    words = in_words(reason, titles)
    return words if reason.code == "explored" else f"{words} ({reason.share:.0%})"


def slate_table(
    slate: Recommendation, titles: Titles, *, new: frozenset[str] | None = None, reasons: int | None = None
) -> Table:
    """The items of ``slate`` with what diversification changed and why they are there (the first ``reasons``).

    Those in ``new`` stand out.
    """
    table = Table(box=None, pad_edge=False)
    for name, justify in (
        ("", "right"),
        ("item", "left"),
        ("title", "left"),
        ("relevance", "right"),
        ("rank", "right"),
    ):
        table.add_column(name, justify=justify, no_wrap=name != "title")  # type: ignore[arg-type]
    table.add_column("because", ratio=1)
    for item in slate.items:
        why = "; ".join(_with_share(reason, titles) for reason in item.reasons[:reasons])
        style = "green" if new is not None and item.item_id in new else None
        table.add_row(
            str(item.position),
            marked(item.item_id),
            marked(titles.get(item.item_id, "")),
            f"{item.relevance:.3f}",
            str(item.relevance_rank),
            marked(why),
            style=style,
        )
    return table
