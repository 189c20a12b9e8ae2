"""``divrec predict-rating``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.commands.logs import Columns, ItemsMap, Logs, Preset, tell_rejected
from streams.commands.options import AsJson, ConfigFile, configured, put
from streams.commands.predict_text import NOBODY, predict_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from divrec.cf.ratings.predictor import Prediction, RatingPredictor
    from divrec.config import Config
    from divrec.data.log import Log
    from divrec.evaluate.stream import Stream
    from divrec.events import Item


def predict_rating(
    ctx: typer.Context,
    logs: Logs,
    user: Annotated[str | None, typer.Option(metavar="ID", help="Whose rating.")] = None,
    item: Annotated[str | None, typer.Option(metavar="ID", help="Of what.")] = None,
    text: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What was written about it, instead of --item; in any language.")
    ] = None,
    columns: Columns = None,
    preset: Preset = None,
    items: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="A file of items, for their titles; may be repeated.")
    ] = None,
    items_map: ItemsMap = None,
    neighbours: Annotated[int, typer.Option(min=0, metavar="N", help="How many of the user's items to show.")] = 10,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """What a user would give an item: learns the ratings of a log in one pass, then says why.

    With --text: what rating goes with a text, learned from the log's rated reviews; --user is who wrote it, if known.
    Without --map and --preset a log holds our own events, one JSON object a line.
    """
    import msgspec

    from divrec.cf.ratings.predictor import RatingPredictor
    from divrec.errors import ConfigError

    settings = configured(ctx, config)
    if text is not None:
        if item is not None:
            raise ConfigError("--text: expected it instead of --item, got both")
        predict_text(settings, _reviews(settings, logs, columns, preset), text, user, as_json=as_json)
        return
    if user is None or item is None:
        raise ConfigError("expected --user and --item, or --text")
    stream, described = _read(settings, logs, columns, preset, items or [], items_map)
    predictor = _learned(RatingPredictor(*stream.scale, max_items=settings.model.max_items), stream)
    found = predictor.explain(user, item, neighbours)
    known = {"user_known": user in predictor.users, "item_known": predictor.model.knows(item)}
    if as_json:
        put(msgspec.json.encode({"user": user, "item": item, **known, **msgspec.to_builtins(found)}))
        return
    for name, one in known.items():
        if not one:
            typer.echo(f"no rating of the {name.partition('_')[0]} is in the log", err=True)
    _show(found, item, stream.scale, described)


def _read(
    settings: "Config",
    logs: list[Path],
    columns: str | None,
    preset: str | None,
    items: list[Path],
    items_map: str | None,
) -> "tuple[Stream, Mapping[str, Item]]":
    from divrec.data.log import open_log
    from divrec.data.mapping import parse_map
    from divrec.evaluate.stream import ACTIONS, WIDE, read_stream

    with open_log(
        logs,
        map=parse_map(columns) if columns else None,
        items=items,
        items_map=parse_map(items_map) if items_map else None,
        preset=preset,
        feedback=settings.feedback if preset else WIDE,
    ) as log:
        described = {item.item_id: item for item in log.items()}
        stream = read_stream(log, settings.feedback, positive=frozenset(ACTIONS), repeats=True)
    tell_rejected(log.rejected)
    return stream, described


def _reviews(settings: "Config", logs: list[Path], columns: str | None, preset: str | None) -> "Log":
    """Who wrote, and about what, need not be mapped."""
    from divrec.data.log import open_log
    from divrec.data.mapping import parse_map
    from divrec.evaluate.stream import WIDE

    mapped = {"user_id": f"={NOBODY}", "item_id": "=-", **parse_map(columns)} if columns else None
    return open_log(logs, map=mapped, preset=preset, feedback=settings.feedback if preset else WIDE)


def _learned(predictor: "RatingPredictor", stream: "Stream") -> "RatingPredictor":
    import numpy as np
    from rich.console import Console
    from rich.progress import track

    from divrec.errors import ConfigError

    rated = np.flatnonzero(~np.isnan(stream.rating))
    if not len(rated):
        raise ConfigError("log: expected ratings, found none: name their column in --map, rating=…")
    columns = (stream.user[rated].tolist(), stream.item[rated].tolist(), stream.rating[rated].tolist())
    rows = track(zip(*columns, strict=True), "learning", total=len(rated), console=Console(stderr=True))
    for user, item, rating in rows:
        predictor.learn_one(stream.users[user], stream.items[item], rating)
    return predictor


def _show(found: "Prediction", item: str, scale: tuple[float, float], described: "Mapping[str, Item]") -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    def titled(item_id: str) -> str:
        one = described.get(item_id)
        return f"{item_id}  {one.title}" if one is not None and one.title else item_id

    console = Console(highlight=False, markup=False)
    low, high = scale
    console.print(f"{found.rating:.2f} of {low:g} to {high:g} for {titled(item)}")
    says = Table("expert", "says", box=SIMPLE_HEAD)
    says.columns[1].justify = "right"
    says.add_row("bias of user and item", f"{found.bias:.2f}")
    for name, rating in found.experts.items():
        says.add_row(name.replace("_", " "), f"{rating:.2f}")
    console.print(says)
    if not found.neighbours:
        console.print("none of the user's items is a neighbour of it")
        return
    speak = Table("neighbour", "rated", "similarity", "moves item cosine by", box=SIMPLE_HEAD)
    for column in speak.columns[1:]:
        column.justify = "right"
    for one in found.neighbours:
        speak.add_row(titled(one.item_id), f"{one.rating:g}", f"{one.similarity:.2f}", f"{one.moves:+.2f}")
    console.print(speak)
