"""``divrec config``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from streams.commands.options import AsJson, ConfigFile, named, put

if TYPE_CHECKING:
    from divrec.settings import Setting

config = typer.Typer(help="The configuration that holds here.", no_args_is_help=True)


@config.command()
def show(ctx: typer.Context, as_json: AsJson = False, config: ConfigFile = None) -> None:
    """Show every setting with its value and where it comes from. Secrets are only said to be set or not."""
    from divrec.settings import load_settings

    settings = load_settings(named(ctx, config))
    if as_json:
        import msgspec

        rows = [{"name": s.name, "value": _value(s), "origin": s.origin} for s in settings]
        put(msgspec.json.format(msgspec.json.encode(rows)))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("setting", "value", "origin", box=None, pad_edge=False)
    for setting in settings:
        style = "dim" if setting.origin == "default" else ""
        table.add_row(*(Text(text, style) for text in (setting.name, _shown(_value(setting)), setting.origin)))
    Console().print(table)


def _value(setting: "Setting") -> Any:
    """What may be shown, as JSON knows it."""
    from pydantic import BaseModel

    value = setting.value
    if setting.secret:
        return "set" if value is not None and value.get_secret_value() else "not set"
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return [one.model_dump(exclude_none=True) if isinstance(one, BaseModel) else one for one in value]
    return value


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return ", ".join(f"{key} = {one}" for key, one in value.items()) or "-"
    if isinstance(value, list):
        return ", ".join(one["name"] if isinstance(one, dict) else one for one in value) or "-"
    return str(value)
