"""``divrec redrive``."""

from typing import TYPE_CHECKING, Annotated

import typer

from streams.commands.dead_letters import EventId, Reasons, SinceTime, Sources, Stages, User, chosen
from streams.commands.options import AsJson, ConfigFile, configured, put

if TYPE_CHECKING:
    from streams.client.dead_letters import Place
    from streams.client.redrive import Left, Summary

TOLD = 20
"""Letters that are left and told one by one."""


def redrive(
    ctx: typer.Context,
    places: Annotated[
        list[str] | None, typer.Argument(metavar="[PARTITION:OFFSET...]", help="Where letters lie in dead-letters.")
    ] = None,
    reasons: Reasons = None,
    stages: Stages = None,
    topics: Sources = None,
    since: SinceTime = None,
    user: User = None,
    event_id: EventId = None,
    everything: Annotated[bool, typer.Option("--all", help="All letters.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Only the first N to be sent.")] = None,
    command: Annotated[
        str | None,
        typer.Option(metavar="CMD", help="Repairs each value: from its standard input to its standard output."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Send nothing; say what would be sent.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Also what was redriven before.")] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Send dead letters back to where they came from, each once. Status 1 if some are left.

    What would only come back, and items of which a newer state is known, are left.
    """
    import json

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    import streams.client.redrive
    from divrec.errors import ConfigError
    from streams.client.repair import Repair

    settings = configured(ctx, config)
    choice = chosen(settings, reasons, stages, topics, since, user, event_id, places)
    if everything is not choice.everything:
        raise ConfigError("expected --all, or places or options that choose letters, and not both")
    repair = Repair(command) if command is not None else None
    told: list[str] = []

    def left(place: "Place", about: "Left") -> None:
        if len(told) < TOLD:
            told.append(_line(place, about))

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("reading dead letters", total=None)

        def done(summary: "Summary", count: int) -> None:
            progress.update(task, description="redriving", completed=summary.chosen, total=count)

        summary = streams.client.redrive.redrive(
            settings, choice, repair=repair, again=again, dry_run=dry_run, limit=limit, done=done, left=left
        )
    if as_json:
        import msgspec

        put(json.dumps(msgspec.to_builtins(summary)).encode())
    else:
        _show(summary)
    for line in told:
        typer.echo(line, err=True)
    if summary.left.total() > len(told):
        typer.echo(f"… and {summary.left.total() - len(told):,} more", err=True)
    if not summary.complete:
        raise typer.Exit(1)


def _line(place: "Place", about: "Left") -> str:
    from streams.client.printable import printable

    detail = f": {printable(about.detail[:300])}" if about.detail else ""
    return f"{place}: {about.why}{detail}"


def _show(summary: "Summary") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from streams.client.printable import printable
    from streams.client.redrive import Why

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(justify="right")
    table.add_row(f"{summary.sent:,}", "would be sent" if summary.dry_run else "sent")
    table.add_row(f"{summary.already_redriven:,}", "already redriven")
    for name, count in summary.left.items():
        table.add_row(f"{count:,}", f"left: {Why[name]}")
        if Why[name] is Why.would_fail:
            for reason, of_it in summary.would_fail.most_common():
                table.add_row("", Text(f"  {of_it:,} {printable(reason)}"))
    Console(highlight=False).print(table)
