"""``divrec topics``."""

from typing import TYPE_CHECKING, Any

import typer

from streams.commands.options import AsJson, ConfigFile, configured, put

if TYPE_CHECKING:
    from streams.topics import TopicState

topics = typer.Typer(help="Kafka topics: create them, check them, list them.", no_args_is_help=True)


@topics.command()
def create(ctx: typer.Context, as_json: AsJson = False, config: ConfigFile = None) -> None:
    """Create the topics that are missing; change none that exists. Status 2 if one is not as it must be."""
    import asyncio

    from streams.topics import create_topics

    states = asyncio.run(create_topics(configured(ctx, config)))
    _show([_plain(state) for state in states], as_json)
    if any(state.problem for state in states):
        raise typer.Exit(2)


@topics.command()
def check(ctx: typer.Context, as_json: AsJson = False, config: ConfigFile = None) -> None:
    """Check that all topics are as they must be. Status 2 if not."""
    import asyncio

    from streams.topics import check_topics, topic_specs

    settings = configured(ctx, config)
    asyncio.run(check_topics(settings))
    if as_json:
        _show([{"name": spec.name, "state": "right"} for spec in topic_specs(settings) if spec.required], as_json)
    else:
        typer.echo(f"all topics at {settings.kafka.brokers} are as they must be")


@topics.command("list")
def list_topics(ctx: typer.Context, as_json: AsJson = False, config: ConfigFile = None) -> None:
    """List the topics of the configuration and how they are made; asks no broker."""
    from streams.topics import topic_specs

    specs = topic_specs(configured(ctx, config))
    _show(
        [
            {
                "name": spec.name,
                "partitions": None if spec.external else spec.partitions,
                "settings": "your own" if spec.external else ", ".join(f"{k}={v}" for k, v in spec.settings.items()),
            }
            for spec in specs
        ],
        as_json,
    )


def _plain(state: "TopicState") -> dict[str, Any]:
    return {"name": state.name, "state": state.state, "problem": state.problem or None}


def _show(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        import msgspec

        put(msgspec.json.encode(rows))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(*rows[0], box=None, pad_edge=False)
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    Console().print(table, markup=False)
