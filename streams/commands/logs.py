"""Logs that commands read: the options that name them, and what of them was left out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

LOG_HELP = "Files; with --preset also directories."
Logs = Annotated[list[Path], typer.Argument(metavar="LOG...", help=LOG_HELP)]
Columns = Annotated[
    str | None,
    typer.Option(
        "--map", metavar="MAP", help="Columns of CSV, TSV, JSONL or Parquet: user=customer,item=sku,ts=when,…"
    ),
]
Preset = Annotated[str | None, typer.Option(metavar="NAME", help="A known log: movielens, ml-100k, amazon-reviews.")]
ItemsMap = Annotated[str | None, typer.Option(metavar="MAP", help="Columns of the items' files.")]


def tell_rejected(rejected: Mapping[str, int]) -> None:
    """Say how many bad lines were left out, by reason, if there were any."""
    if rejected:
        told = ", ".join(f"{count:,} {reason}" for reason, count in sorted(rejected.items()))
        typer.echo(f"{sum(rejected.values()):,} bad lines left out: {told}", err=True)
