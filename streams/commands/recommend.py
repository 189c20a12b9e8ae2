"""``divrec recommend`` and ``divrec digest``."""

from typing import TYPE_CHECKING, Annotated

import typer

from streams.commands.options import AsJson, ConfigFile, Language, configured, put

if TYPE_CHECKING:
    from divrec.config import Config
    from divrec.events import Recommendation


def recommend(
    ctx: typer.Context,
    user: Annotated[str, typer.Argument(help="The user.")],
    k: Annotated[int | None, typer.Option("-k", min=1, max=200, help="Length of the list.")] = None,
    diversity: Annotated[
        float | None, typer.Option(min=0, max=1, help="0: by relevance alone, 1: as different as can be.")
    ] = None,
    exclude: Annotated[list[str] | None, typer.Option(metavar="ID", help="Not this item; may be repeated.")] = None,
    timeout: Annotated[float, typer.Option(min=0.1, metavar="S", help="Seconds to wait for the answer.")] = 10.0,
    latest: Annotated[bool, typer.Option("--latest", help="The latest slate in Redis, instead of asking.")] = False,
    language: Language = "en",
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Ask for a list for USER and show the recommendation that answers it."""
    import asyncio

    from divrec.errors import ConfigError
    from divrec.events import Request
    from streams.client.asking import NoAnswer, ask
    from streams.codec import encode

    settings = configured(ctx, config)
    if not 0 < len(user) <= 256:
        raise ConfigError(f"USER: expected 1 to 256 characters, got {len(user)}")
    if latest:
        found = asyncio.run(_latest(settings, user))
        if found is None:
            raise NoAnswer(f"no slate of {user} is in Redis: ask without --latest")
        slate = found
    else:
        request = Request(user_id=user, k=k, diversity=diversity, exclude=exclude or [])
        slate = asyncio.run(ask(settings, request, timeout))
    if as_json:
        put(encode(slate))
    else:
        _show(settings, slate, language)


async def _latest(settings: "Config", user: str) -> "Recommendation | None":
    from divrec.state.redis import RedisStore
    from streams.codec import decode_recommendation

    store = RedisStore(settings.redis, f"{settings.kafka.prefix}{settings.generation}")
    try:
        data = await store.latest_slate(user)
        return None if data is None else decode_recommendation(data)
    finally:
        await store.close()


def _show(settings: "Config", slate: "Recommendation", language: Language) -> None:
    import asyncio

    from rich.console import Console

    from divrec.explain.words import taken_out
    from streams.client.wording import read_titles, slate_table

    if not slate.items:
        out = taken_out(slate.removed, language)
        typer.echo(f"an empty list for {slate.user_id}: nothing may be recommended{out and f' ({out})'}")
        return
    titles = asyncio.run(read_titles(settings))
    console = Console()
    console.print(slate_table(slate.items, titles, language=language))
    console.print(
        f"rank: by relevance alone; diversity {slate.diversity:g}, model version {slate.version}", style="dim"
    )
    if slate.removed:
        console.print(taken_out(slate.removed, language), style="dim", markup=False)


def digest(ctx: typer.Context, as_json: AsJson = False, config: ConfigFile = None) -> None:
    """Print the hash of the model's state and the model-log offset at which it was taken."""
    import asyncio

    import msgspec

    from streams.replica import read_replica

    model = asyncio.run(read_replica(configured(ctx, config))).engine.model
    state = model.state()
    if as_json:
        put(msgspec.json.encode({"digest": state.digest(), "version": state.version}))
    else:
        typer.echo(f"{state.digest()} at model-log offset {state.version}")
