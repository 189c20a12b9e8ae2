"""The models by name."""

from collections.abc import Callable, Sequence

from divrec.config import Config
from divrec.errors import ConfigError
from divrec.evaluate.content import Content
from divrec.evaluate.engine_rankers import EngineLearner, EngineRanker, SignalRanker
from divrec.evaluate.item_item import ItemItemRanker
from divrec.evaluate.most_bought import MostBoughtRanker
from divrec.evaluate.popularity import HALF_LIFE_DAYS, PopularityRanker
from divrec.evaluate.prequential import Make
from divrec.evaluate.ranker import Past, Ranker
from divrec.evaluate.ratings import RatingRanker
from divrec.evaluate.stream import Stream
from divrec.retrieve.signals import SIGNALS

REFERENCE = "divrec"
"""What intervals compare with."""
DEFAULT = ("divrec", "divrec-slate", "popularity", "decayed-popularity", "item-item")
ENGINE: dict[str, float | None] = {"divrec": 0.0, "divrec-slate": None}
"""The diversity that they ask for."""
SIGNAL_MODELS = {f"signal-{name}": number for number, name in enumerate(SIGNALS)}
BASELINES: dict[str, Callable[[Past], Ranker]] = {
    "popularity": PopularityRanker,
    "decayed-popularity": lambda past: PopularityRanker(past, HALF_LIFE_DAYS),
    "item-item": ItemItemRanker,
    "most-bought": MostBoughtRanker,
}
MODELS = {
    "divrec": "the engine's blend, before diversification",
    "divrec-slate": "the slate that the engine publishes, after diversification and exploration",
    **dict.fromkeys(SIGNAL_MODELS, "this signal of the engine alone"),
    "popularity": "most interactions so far",
    "decayed-popularity": f"the same, decayed with a half-life of {HALF_LIFE_DAYS:g} days",
    "item-item": "plain item-item cosine over the user's last items",
    "most-bought": "what the user turned to most often; only where repeats count",
}


def passes(names: Sequence[str], stream: Stream, config: Config, content: Content) -> list[Make]:
    """What makes the models ``names``, one pass for each; those of the engine share one, and so do its signals.

    Raises ConfigError for a name that is none.
    """
    check_names(names, repeats=stream.repeats)
    own = [name for name in names if name in ENGINE]
    alone = [name for name in names if name in SIGNAL_MODELS]

    def engine(past: Past) -> dict[str, Ranker]:  # noqa: ARG001
        learner = EngineLearner(config, stream, content)
        rankers: dict[str, Ranker] = {name: EngineRanker(learner, ENGINE[name]) for name in own}
        if REFERENCE in rankers and stream.rated:
            rankers[REFERENCE] = RatingRanker(rankers[REFERENCE], stream)
        return rankers

    def signals(past: Past) -> dict[str, Ranker]:  # noqa: ARG001
        learner = EngineLearner(config, stream, content)
        return {name: SignalRanker(learner, SIGNAL_MODELS[name]) for name in alone}

    def baseline(name: str) -> Make:
        return lambda past: {name: BASELINES[name](past)}

    return [engine] * bool(own) + [signals] * bool(alone) + [baseline(name) for name in names if name in BASELINES]


def check_names(names: Sequence[str], *, repeats: bool) -> None:
    """Raises ConfigError unless each of ``names`` is a model that fits."""
    for name in names:
        if name not in MODELS:
            raise ConfigError(f"--models: expected some of {', '.join(MODELS)}, got {name!r}")
        if name == "most-bought" and not repeats:
            raise ConfigError("--models: most-bought recommends what the user has had: it needs --repeats")


def default_names(*, repeats: bool) -> list[str]:
    return [*DEFAULT, "most-bought"] if repeats else list(DEFAULT)
