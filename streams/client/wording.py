"""Slates for people: titles, and tables."""

import time
from collections.abc import Sequence

import msgspec
from rich.table import Table

from divrec.config import Config
from divrec.events import Reason, SlateItem
from divrec.explain.words import BETWEEN, TextLanguage, Titles, changes, in_words
from streams.client.printable import marked
from streams.kafka.reading import reading
from streams.topics import Topics

TITLES_WITHIN_S = 5.0


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


def _with_share(reason: Reason, titles: Titles, language: TextLanguage) -> str:
    words = in_words(reason, titles, language)
    return words if reason.code == "explored" else f"{words} ({reason.share:.0%})"


def slate_table(
    slate: Sequence[SlateItem],
    titles: Titles,
    *,
    language: TextLanguage = "en",
    new: frozenset[str] | None = None,
    reasons: int | None = None,
) -> Table:
    """The items of ``slate`` with why they are there (the first ``reasons``) and what diversification changed.

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
    for item in slate:
        why = [_with_share(reason, titles, language) for reason in item.reasons[:reasons]]
        why += changes(item, titles, language)
        table.add_row(
            str(item.position),
            marked(item.item_id),
            marked(titles.get(item.item_id, "")),
            f"{item.relevance:.3f}",
            str(item.relevance_rank),
            marked(BETWEEN[language].join(why)),
            style="green" if new is not None and item.item_id in new else None,
        )
    return table
