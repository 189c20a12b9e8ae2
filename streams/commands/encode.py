"""``divrec encode``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.commands.logs import tell_rejected
from streams.commands.options import ConfigFile, configured

if TYPE_CHECKING:
    from divrec.config import Config
    from divrec.text.encode_files import Encoded
    from divrec.text.text_files import TextFiles


def encode(
    ctx: typer.Context,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...", help="Items or reviews as CSV, TSV, JSONL or Parquet; .txt: one text a line."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="VECTORS", help="The Parquet file to write; it must not exist.")],
    columns: Annotated[
        str | None,
        typer.Option("--map", metavar="MAP", help="item=sku,title=name,description=… of items; text=… of reviews."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Instead of encoder.model, whatever that may be.")
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Write the vectors of texts to a Parquet file: id, vector, model.

    The same call goes on where one that was killed has ended. Texts that the workers, or earlier calls, have encoded
    are not encoded again.
    """
    from divrec.data.mapping import parse_map
    from divrec.text.text_files import TextFiles

    settings = configured(ctx, config)
    if model is not None:
        settings = settings.model_copy(update={"encoder": settings.encoder.model_copy(update={"model": model})})
    texts = TextFiles(files, parse_map(columns) if columns else None, settings.feedback)
    done = _encode(settings, texts, out)
    tell_rejected(texts.rejected)
    if done.without_text:
        typer.echo(f"{done.without_text:,} rows without a text left out", err=True)
    typer.echo(
        f"{done.vectors:,} vectors are in {out}" + (f", {done.resumed:,} of an earlier run" * bool(done.resumed))
    )


def _encode(settings: "Config", texts: "TextFiles", out: Path) -> "Encoded":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from divrec.text.encode_files import encode_files
    from streams.commands.backfill import cached_encoder

    text, bar, left = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn()
    with Progress(text, bar, MofNCompleteColumn(), left, console=Console(stderr=True)) as progress:
        task = progress.add_task("reading", total=None)

        def told(done: int, total: int) -> None:
            progress.update(task, description="encoding", completed=done, total=total)

        return encode_files(texts, cached_encoder(settings), out, told)
