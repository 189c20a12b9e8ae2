"""``divrec demo``."""

from pathlib import Path
from typing import Annotated

import typer


def demo(
    directory: Annotated[
        Path | None, typer.Option("--dir", metavar="DIR", help="Directory of the stack; default: a temporary one.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack running afterwards, until Ctrl-C.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Replay only the latest N events.")] = None,
) -> None:
    """See it work: a local stack, a real log replayed through it, recommendations measured. Ends by itself."""
    from streams.demo.run import LATEST, run_demo

    raise typer.Exit(run_demo(directory, keep=keep, latest=limit or LATEST))
