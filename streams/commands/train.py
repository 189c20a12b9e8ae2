"""``divrec train``: text models trained on one's own texts, ratings and likes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.commands.logs import Columns, ItemsMap, Logs, Preset, tell_rejected
from streams.commands.options import ConfigFile, configured

if TYPE_CHECKING:
    from collections.abc import Callable

    from divrec.config import Config
    from divrec.training.loop import Task
    from divrec.training.trunk import Told, Trunk

train = typer.Typer(no_args_is_help=True, help="Train a text model; the result is a directory for encoder.model.")

Out = Annotated[Path, typer.Option(metavar="DIR", help="The model directory to write; it must not exist.")]
From = Annotated[
    str | None, typer.Option("--from", metavar="MODEL", help="The model to go on from; default: encoder.model.")
]
Layers = Annotated[int | None, typer.Option(metavar="N", help="Keep its first N layers; default: all.")]
Frozen = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="Layers, and the embeddings, that stay as they are. Default: all but two; -1: none."
    ),
]
Epochs = Annotated[int, typer.Option(min=1, help="At most; it ends earlier when validation gets no better.")]
Rate = Annotated[float, typer.Option(min=1e-9, max=1.0, help="The highest learning rate.")]
Patience = Annotated[int, typer.Option(min=1, help="Epochs without a better validation before it ends.")]
MaxTokens = Annotated[
    int | None, typer.Option(min=8, max=8192, help="Longer texts are cut; default: encoder.max_tokens.")
]
Seed = Annotated[int, typer.Option(min=0, help="Of all that is drawn.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, …; default: encoder.device.")]
Augment = Annotated[
    bool, typer.Option("--augment", help="Leave out, exchange and replace some tokens of what is learned from.")
]


@train.command()
def mlm(
    ctx: typer.Context,
    files: Logs,
    out: Out,
    columns: Columns = None,
    preset: Preset = None,
    from_: From = None,
    layers: Layers = None,
    frozen: Frozen = 0,
    epochs: Epochs = 3,
    rate: Rate = 1e-4,
    patience: Patience = 2,
    max_tokens: MaxTokens = None,
    seed: Seed = 0,
    device: Device = None,
    config: ConfigFile = None,
) -> None:
    """Read on: guess hidden words of descriptions and reviews (masked language model); `.txt`: one text a line."""
    from divrec.training.samples import is_plain, opened, said
    from divrec.training.split import by_time

    settings = configured(ctx, config)
    _check_out(out)
    plain = [file for file in files if is_plain(file)]
    with opened([file for file in files if file not in plain], _mapped(columns), preset) as log:
        found = said(log, plain)
        about = _about("mlm", [log.identity(), [str(path.resolve()) for path in plain]])
    tell_rejected(log.rejected)
    texts = [one.text for one in found]
    split = by_time([one.ts for one in found], texts, seed=seed)

    def made(trunk: "Trunk", _: "Told") -> "Task":
        from divrec.training.mlm import MlmTask

        return MlmTask(trunk, texts, split)

    plan = {"epochs": epochs, "rate": rate, "patience": patience, "seed": seed}
    _run(settings, made, out, about, plan, from_, layers, frozen, max_tokens, device)


@train.command()
def rating(
    ctx: typer.Context,
    files: Logs,
    out: Out,
    columns: Columns = None,
    preset: Preset = None,
    from_: From = None,
    layers: Layers = None,
    frozen: Frozen = None,
    balance: Annotated[
        bool, typer.Option("--balance", help="Weigh classes by how rare they are: inverse frequency.")
    ] = False,
    augment: Augment = False,
    epochs: Epochs = 5,
    rate: Rate = 1e-4,
    patience: Patience = 2,
    max_tokens: MaxTokens = None,
    seed: Seed = 0,
    device: Device = None,
    config: ConfigFile = None,
) -> None:
    """Learn from reviews which rating goes with a text: one class for each rating that occurs."""
    from divrec.training.samples import opened, rated
    from divrec.training.split import by_time

    settings = configured(ctx, config)
    _check_out(out)
    with opened(files, _mapped(columns), preset) as log:
        found = rated(log)
        about = _about("rating", [log.identity(), balance, augment])
    tell_rejected(log.rejected)
    texts = [one.text for one in found]
    split = by_time([one.ts for one in found], texts, seed=seed)

    def made(trunk: "Trunk", told: "Told") -> "Task":
        from divrec.training.rating import RatingTask

        ratings = [one.rating for one in found]
        return RatingTask(trunk, texts, ratings, split, balanced=balance, augmented=augment, told=told)

    plan = {"epochs": epochs, "rate": rate, "patience": patience, "seed": seed}
    _run(settings, made, out, about, plan, from_, layers, frozen, max_tokens, device)


@train.command()
def taste(
    ctx: typer.Context,
    files: Logs,
    out: Out,
    columns: Columns = None,
    preset: Preset = None,
    items: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="A file of items, for their texts; may be repeated.")
    ] = None,
    items_map: ItemsMap = None,
    positive: Annotated[
        str | None,
        typer.Option(
            metavar="WHAT", help="The least positive rating, or actions: purchase,like. Default: 4, or every event."
        ),
    ] = None,
    from_: From = None,
    layers: Layers = None,
    frozen: Frozen = None,
    keep: Annotated[float, typer.Option(min=0.0, help="How much each vector is held back where it was.")] = 0.0,
    augment: Augment = False,
    epochs: Epochs = 5,
    rate: Rate = 2e-4,
    patience: Patience = 2,
    max_tokens: MaxTokens = None,
    seed: Seed = 0,
    device: Device = None,
    config: ConfigFile = None,
) -> None:
    """Bring the vectors of items together that the same users like (contrastive fine-tuning)."""
    from divrec.data.log import open_log
    from divrec.errors import ConfigError
    from divrec.evaluate.stream import WIDE, read_stream
    from divrec.text.content import item_text
    from streams.commands.evaluate import positive_rule

    settings = configured(ctx, config)
    _check_out(out)
    rule = positive_rule(positive)
    history = open_log(files, map=_mapped(columns), preset=preset, feedback=settings.feedback if preset else WIDE)
    catalog = open_log([], items=items or [], items_map=_mapped(items_map))
    with history, catalog:
        described = {item.item_id: item_text(item) for log in (history, catalog) for item in log.items()}
        stream = read_stream(history, settings.feedback, positive=rule, seed=seed)
        identity = [history.identity(), catalog.identity(), stream.rule, keep, augment]
    tell_rejected(history.rejected)
    tell_rejected(catalog.rejected)
    texts = [described.get(item_id, "") for item_id in stream.items]
    if not any(texts):
        raise ConfigError(
            "training: expected texts of the items that users turned to, found none: give a file of items by --items"
        )

    def made(trunk: "Trunk", told: "Told") -> "Task":
        from divrec.training.taste import TasteTask

        return TasteTask(trunk, texts, stream, keep=keep, augmented=augment, told=told)

    plan = {"epochs": epochs, "rate": rate, "patience": patience, "seed": seed}
    _run(settings, made, out, _about("taste", identity), plan, from_, layers, frozen, max_tokens, device)


def _mapped(columns: str | None) -> dict[str, str] | None:
    from divrec.data.mapping import parse_map

    return parse_map(columns) if columns else None


def _check_out(out: Path) -> None:
    """Raises ConfigError before hours of work, not after them."""
    from divrec.errors import ConfigError

    if out.exists():
        raise ConfigError(f"--out: expected a directory that is not there yet, found {out}")


def _about(task: str, data: list[object]) -> dict[str, Any]:
    return {"task": task, "trained_on": repr(data)}


def _run(
    settings: "Config",
    made: "Callable[[Trunk, Told], Task]",
    out: Path,
    about: dict[str, Any],
    plan: dict[str, Any],
    from_: str | None,
    layers: int | None,
    frozen: int | None,
    max_tokens: int | None,
    device: str | None,
) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Table

    from divrec.training.loop import Plan
    from divrec.training.page import classes_table, epochs_table
    from divrec.training.run import run
    from divrec.training.trunk import start

    encoder = settings.encoder
    if from_ is not None:
        encoder = encoder.model_copy(update={"model": from_})
    if device is not None:
        encoder = encoder.model_copy(update={"device": device})
    tokens = encoder.max_tokens if max_tokens is None else max_tokens
    name, trunk = start(encoder, layers=layers, frozen=frozen, max_tokens=tokens, seed=plan["seed"])
    about |= {"from": name, "prefix": trunk.prefix, "max_tokens": tokens, "kept": [trunk.layers, trunk.frozen]}
    text, bar, left = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn()
    with Progress(text, bar, MofNCompleteColumn(), left, console=Console(stderr=True)) as progress:
        shown = progress.add_task("beginning", total=None)

        def told(what: str, done: int, total: int) -> None:
            progress.update(shown, description=what, completed=done, total=total)

        results = run(made(trunk, told), Plan(**plan), out, about, told)
    console = Console()
    for cells in (epochs_table(results), classes_table(results)):
        if cells is not None:
            table = Table(*cells[0], box=None)
            for row in cells[1]:
                table.add_row(*row)
            console.print(table)
    typer.echo(f'{out} has the weights of epoch {results["best"]}: encoder.model = "{out.resolve()}"')
    typer.echo(f"curves are in {out / 'results.html'}")
