"""The models by name."""

from collections.abc import Mapping, Sequence

from divrec.config import Config
from divrec.errors import ConfigError
from divrec.evaluate.engine_rankers import EngineLearner, EngineRanker
from divrec.evaluate.item_item import ItemItemRanker
from divrec.evaluate.most_bought import MostBoughtRanker
from divrec.evaluate.popularity import HALF_LIFE_DAYS, PopularityRanker
from divrec.evaluate.ranker import Past, Ranker
from divrec.evaluate.stream import Stream
from divrec.events import Item

REFERENCE = "divrec"
"""What intervals compare with."""
DEFAULT = ("divrec", "divrec-slate", "popularity", "decayed-popularity", "item-item")
MODELS = {
    "divrec": "the engine's blend, before diversification",
    "divrec-slate": "the slate that the engine publishes, after diversification",
    "popularity": "most interactions so far",
    "decayed-popularity": f"the same, decayed with a half-life of {HALF_LIFE_DAYS:g} days",
    "item-item": "plain item-item cosine over the user's last items",
    "most-bought": "what the user turned to most often; only where repeats count",
}


def make_rankers(
    names: Sequence[str], stream: Stream, past: Past, config: Config, described: Mapping[str, Item]
) -> dict[str, Ranker]:
    """The models ``names``; those of the engine share one. Raises ConfigError for a name that is none."""
    check_names(names, repeats=stream.repeats)
    learner: EngineLearner | None = None
    rankers: dict[str, Ranker] = {}
    for name in names:
        match name:
            case "divrec" | "divrec-slate":
                learner = learner or EngineLearner(config, stream, described)
                rankers[name] = EngineRanker(learner, 0.0 if name == "divrec" else None)
            case "popularity":
                rankers[name] = PopularityRanker(past)
            case "decayed-popularity":
                rankers[name] = PopularityRanker(past, HALF_LIFE_DAYS)
            case "item-item":
                rankers[name] = ItemItemRanker(past)
            case "most-bought":
                rankers[name] = MostBoughtRanker(past)
    return rankers


def check_names(names: Sequence[str], *, repeats: bool) -> None:
    """Raises ConfigError unless each of ``names`` is a model that fits."""
    for name in names:
        if name not in MODELS:
            raise ConfigError(f"--models: expected some of {', '.join(MODELS)}, got {name!r}")
        if name == "most-bought" and not repeats:
            raise ConfigError("--models: most-bought recommends what the user has had: it needs --repeats")


def default_names(*, repeats: bool) -> list[str]:
    return [*DEFAULT, "most-bought"] if repeats else list(DEFAULT)
