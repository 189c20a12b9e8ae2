"""``divrec whatif``."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Annotated

import typer

from divrec.errors import DivrecError
from streams.commands.options import AsJson, ConfigFile, Language, configured, put

if TYPE_CHECKING:
    from rich.table import Table

    from divrec.config import Config
    from divrec.explain.whatif import Variant
    from divrec.explain.words import Titles
    from divrec.profile import Profile

STRENGTHS = (0.0, 0.5, 1.0)


class UnknownUser(DivrecError):
    """The store has no profile of the user."""


def whatif(
    ctx: typer.Context,
    user: Annotated[str, typer.Argument(help="The user.")],
    diversity: Annotated[
        list[float] | None,
        typer.Option(min=0, max=1, help="A strength; may be repeated. Default: 0, 0.5, 1. The learned one is added."),
    ] = None,
    language: Language = "en",
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Show USER's list at several strengths of diversification, side by side. Publishes and changes nothing.

    Profile and model are read as they are now; a model of millions takes a while. Lists do not explore here.
    """
    import asyncio
    import time

    import msgspec

    from divrec.engine import Ask
    from divrec.explain.whatif import what_if
    from divrec.explain.words import taken_out
    from streams.replica import read_replica

    settings = configured(ctx, config)
    profile = asyncio.run(_profile(settings, user))
    engine = asyncio.run(read_replica(settings, snapshots=False)).engine
    now = round(1_000 * time.time())
    used = engine.diversity(Ask(profile, now))
    strengths = sorted({*(diversity or STRENGTHS), used})
    variants = what_if(engine, profile, now, strengths)
    if as_json:
        told = {"user_id": user, "version": engine.model.version, "learned": used, "lists": variants}
        put(msgspec.json.encode(told))
        return
    [shown] = (variant for variant in variants if variant.diversity == used)
    if not shown.items:
        out = taken_out(shown.removed, language)
        typer.echo(f"empty lists for {user}: nothing may be recommended{out and f' ({out})'}")
        return
    titles = {item.item_id: item.title for item in engine.catalog.descriptions if item is not None}
    _show(variants, shown, titles, language)


async def _profile(settings: "Config", user: str) -> "Profile":
    from divrec.profile import decode_profile
    from divrec.state.redis import RedisStore
    from streams.topics import partition_of

    namespace = f"{settings.kafka.prefix}{settings.generation}"
    store = RedisStore(settings.redis, namespace)
    try:
        found = (await store.load([user], [])).profiles.get(user)
    finally:
        await store.close()
    if found is None:
        raise UnknownUser(
            f"USER: expected a user with a profile in Redis, got {user!r}: let an event of theirs come first (divrec "
            f"produce clicks --user … --item …), or correct redis.url, kafka.prefix and generation ({namespace})"
        )
    return decode_profile(found, partition_of(user, settings.kafka.partitions))


def _show(variants: "Sequence[Variant]", shown: "Variant", titles: "Titles", language: Language) -> None:
    from rich.console import Console

    from divrec.explain.words import taken_out
    from streams.client.wording import slate_table

    console = Console(highlight=False)
    console.print(_side_by_side(variants, shown, titles))
    console.print(f"\ndiversity {shown.diversity:g}, and why", style="bold")
    console.print(slate_table(shown.items, titles, language=language))
    if shown.removed:
        console.print(taken_out(shown.removed, language), style="dim", markup=False)


def _side_by_side(variants: "Sequence[Variant]", shown: "Variant", titles: "Titles") -> "Table":
    """A column for each strength; green is what the first does not have."""
    from rich import box
    from rich.table import Table

    from streams.client.printable import marked

    table = Table(box=box.SIMPLE, show_edge=False, pad_edge=False)
    table.add_column("diversity")
    for variant in variants:
        name = f"{variant.diversity:g}"
        table.add_column(f"{name} (learned)" if variant is shown else name, ratio=1)
    first = {item.item_id for item in variants[0].items}
    for place, row in enumerate(zip_longest(*(variant.items for variant in variants)), 1):
        names = ["" if item is None else marked(titles.get(item.item_id) or item.item_id) for item in row]
        new = [item is not None and item.item_id not in first for item in row]
        table.add_row(
            str(place), *(f"[green]{name}[/]" if is_new else name for name, is_new in zip(names, new, strict=True))
        )
    table.add_section()
    table.add_row("mean relevance", *(_figure(variant.mean_relevance) for variant in variants))
    table.add_row("ILD (texts)", *(_figure(variant.ild) for variant in variants))
    table.add_row("categories", *(str(variant.categories) for variant in variants))
    table.add_row("not in the first", *(str(variant.differing) for variant in variants))
    return table


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
