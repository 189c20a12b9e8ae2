"""``divrec schemas``."""

from pathlib import Path
from typing import Annotated

import typer


def schemas(out: Annotated[Path, typer.Option(metavar="DIR", help="Where to write them.")] = Path("docs")) -> None:
    """Write the JSON Schemas of the events, and an AsyncAPI document of the topics, into a directory."""
    from divrec.errors import ConfigError
    from streams.contracts import documents

    try:
        for path, content in documents().items():
            (out / path).parent.mkdir(parents=True, exist_ok=True)
            (out / path).write_bytes(content)
            typer.echo(out / path)
    except OSError as error:
        raise ConfigError(f"{out}: expected a directory that can be written to: {error.strerror}") from None
