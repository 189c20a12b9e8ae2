"""``divrec doctor``."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import typer

from streams.commands.options import AsJson, ConfigFile, configured, put

if TYPE_CHECKING:
    from streams.health.doctor import Finding


def doctor(ctx: typer.Context, as_json: AsJson = False, config: ConfigFile = None) -> None:
    """Look at broker, topics, Redis, text model, disk, versions and positions. Status 1 if there is a problem."""
    import asyncio

    from streams.health.doctor import examine

    settings = configured(ctx, config)
    show = None if as_json else _shower()

    async def examined() -> "list[Finding]":
        findings = []
        async for finding in examine(settings):
            if show is not None:
                show(finding)
            findings.append(finding)
        return findings

    findings = asyncio.run(examined())
    if as_json:
        import msgspec

        put(msgspec.json.format(msgspec.json.encode(findings)))
    if any(finding.state == "problem" for finding in findings):
        raise typer.Exit(1)


def _shower() -> "Callable[[Finding], None]":
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False)
    colours = {"ok": "green", "warning": "yellow", "problem": "bold red"}

    def show(finding: "Finding") -> None:
        state = f"[{colours[finding.state]}]{finding.state:<8}[/]"
        console.print(f"{state} {finding.area:<16} {escape(finding.told)}", soft_wrap=True)
        if finding.remedy:
            console.print(f"{'':<25} → {escape(finding.remedy)}", soft_wrap=True)

    return show
