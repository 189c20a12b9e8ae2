"""The command ``divrec``: a thin layer of options and output; each command imports what it needs when it runs."""

from typing import Any

import typer
from typer.core import TyperGroup

from divrec.errors import DivrecError
from streams.commands.backfill import backfill
from streams.commands.config import config as config_commands
from streams.commands.dead_letters import dead_letters
from streams.commands.demo import demo
from streams.commands.doctor import doctor
from streams.commands.dump import dump
from streams.commands.encode import encode
from streams.commands.evaluate import evaluate
from streams.commands.options import ConfigFile
from streams.commands.predict_rating import predict_rating
from streams.commands.produce import produce
from streams.commands.recommend import digest, recommend
from streams.commands.redrive import redrive
from streams.commands.replay import replay
from streams.commands.schemas import schemas
from streams.commands.tail import tail
from streams.commands.topics import topics
from streams.commands.train import train
from streams.commands.whatif import whatif
from streams.commands.worker import up, worker

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130


class Commands(TyperGroup):
    """Turns what divrec raises on purpose into one clear line, and Ctrl-C into silence."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise typer.Exit(EXIT_INTERRUPTED) from None
        except DivrecError as error:
            typer.echo(f"divrec: {error}", err=True)
            raise typer.Exit(EXIT_ERROR) from None


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Event-driven recommender: clicks and reviews in through Kafka, diversified recommendations out.",
)


@app.callback()
def divrec(ctx: typer.Context, config: ConfigFile = None) -> None:
    ctx.obj = config


for command in (demo, up, worker, replay, backfill, evaluate, dump, produce, tail, recommend, whatif, digest, doctor):
    app.command()(command)
app.command()(schemas)
app.add_typer(topics, name="topics")
app.add_typer(dead_letters, name="dead-letters")
app.command()(redrive)
app.command()(predict_rating)
app.command()(encode)
app.add_typer(train, name="train")
app.add_typer(config_commands, name="config")

if __name__ == "__main__":
    app()
