"""The topics: their names, how they are made, and the check at start-up that they are as they must be."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import InitVar, dataclass, field, fields
from typing import Any, Literal, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaConnectionError, KafkaError, TopicAlreadyExistsError, for_code
from aiokafka.partitioner import murmur2

from divrec.config import Config
from divrec.errors import ConfigError
from streams.kafka.clients import client_arguments, refusal, unsaid

COMPACTED_PARTITIONS = 4
DAY_MS = 86_400_000
LARGE_MESSAGE_BYTES = 4_194_304
MODEL_LOG_DAYS = 30
"""Longest record of the model log (one holds the deltas of a whole batch) and of the dead letters (which add headers
to the original)."""
REQUEST_TIMEOUT_MS = 10_000
FETCH = 1
"""Number of the fetch request in Kafka's protocol."""
SHOWN_WITHIN_S = 10.0
"""A created topic is in the metadata of every broker after this long."""


class BrokerUnavailable(ConfigError):
    """No Kafka broker answers at the configured address."""


class BrokerRefused(ConfigError):
    """A Kafka broker answers and does not let us in: a wrong password, or TLS that does not fit."""


Problem = tuple[Literal["wrong", "missing"], str]


@dataclass(frozen=True, slots=True)
class Topics:
    """The names of all topics of a configuration.

    The input topics ``clicks``, ``requests``, ``reviews`` and ``items`` may be the user's own; the others carry the
    prefix, and the model log also the generation. Raises ConfigError if two names are the same or one is not valid.
    """

    config: InitVar[Config]
    clicks: str = field(init=False)
    requests: str = field(init=False)
    reviews: str = field(init=False)
    items: str = field(init=False)
    events: str = field(init=False)
    catalog: str = field(init=False)
    item_vectors: str = field(init=False)
    model_log: str = field(init=False)
    recommendations: str = field(init=False)
    dead_letters: str = field(init=False)
    metrics: str = field(init=False)

    def __post_init__(self, config: Config) -> None:
        names = {f.name: config.kafka.prefix + f.name.replace("_", "-") for f in fields(self)}
        names["model_log"] += f".{config.generation}"
        for name, topic in config.topics:
            names[name] = topic.name or names[name]
        seen: dict[str, str] = {}
        for attribute, name in names.items():
            if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", name):
                raise ConfigError(
                    f"topic {attribute}: expected a name of 1 to 249 letters, digits, '.', '_' and '-', got {name!r}: "
                    f"correct kafka.prefix or topics.{attribute}.name"
                )
            if name in seen:
                raise ConfigError(
                    f"topics {seen[name]} and {attribute} have the same name {name!r}: each needs its own; "
                    f"correct topics.*.name"
                )
            seen[name] = attribute
            object.__setattr__(self, attribute, name)


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """How a topic is made, and what of it is checked.

    ``partitions`` and ``settings`` are those it is created with. Checked at start-up are: that a ``required`` topic
    exists, the partitions if ``exact``, the cleanup policy if ``settings`` names one. ``external`` is a topic of the
    user's own: never created here, any shape will do.
    """

    name: str
    partitions: int
    settings: Mapping[str, str] = field(default_factory=dict)
    required: bool = True
    exact: bool = False
    external: bool = False


@dataclass(frozen=True, slots=True)
class TopicState:
    """What :func:`create_topics` found or did; ``problem`` says what is wrong or missing and what to do."""

    name: str
    state: Literal["created", "existed", "wrong", "missing"]
    problem: str = ""


def topic_specs(config: Config) -> list[TopicSpec]:
    """Every topic of the configuration. Raises ConfigError if the names are not usable."""
    topics, n = Topics(config), config.kafka.partitions
    inputs = [TopicSpec(getattr(topics, name), n, external=topic.name is not None) for name, topic in config.topics]
    compacted = {"cleanup.policy": "compact"}
    large = {"max.message.bytes": str(LARGE_MESSAGE_BYTES)}
    ours = [
        # Partitions of events and model log carry the guarantees: another number is another order.
        TopicSpec(topics.events, n, {"cleanup.policy": "delete", "retention.ms": "-1"}, exact=True),
        TopicSpec(topics.catalog, COMPACTED_PARTITIONS, compacted),
        TopicSpec(topics.item_vectors, COMPACTED_PARTITIONS, compacted),
        TopicSpec(topics.model_log, 1, _kept(MODEL_LOG_DAYS) | large, exact=True),
        TopicSpec(topics.recommendations, n, _kept(7)),
        TopicSpec(topics.dead_letters, COMPACTED_PARTITIONS, _kept(90) | large),
        TopicSpec(topics.metrics, 1, _kept(30), required=False),
    ]
    return inputs + ours


class BrokerFacts(NamedTuple):
    brokers: int
    fetch_version: int
    """Newest version of Kafka's fetch request that one of them speaks, 0 if not told: it tells the release."""


async def broker_facts(config: Config) -> BrokerFacts:
    """What the cluster tells about itself. Raises BrokerUnavailable."""
    async with _admin(config) as admin:
        brokers = len((await admin.describe_cluster())["brokers"])
        spoken = [connection._versions.get(FETCH, (0, 0))[1] for connection in admin._client._conns.values()]
        return BrokerFacts(brokers, max(spoken, default=0))


async def inspect_topics(config: Config) -> list[TopicState]:
    """How each topic stands; creates none. Raises BrokerUnavailable."""
    specs = topic_specs(config)
    async with _admin(config) as admin:
        problems = await _problems(admin, [spec for spec in specs if spec.required])
    return [TopicState(spec.name, *problems.get(spec.name, ("existed", ""))) for spec in specs]


async def create_topics(config: Config) -> list[TopicState]:
    """Create what is not there yet and say for each topic how it stands. Changes no topic that exists.

    Raises BrokerUnavailable, or ConfigError if the broker refuses to create one.
    """
    specs = topic_specs(config)
    async with _admin(config) as admin:
        present = await _present(admin)
        absent = [spec for spec in specs if spec.name not in present and not spec.external]
        created = await _create(admin, absent, config) if absent else set()
        problems = await _problems(admin, [spec for spec in specs if spec.name not in created])
    return [
        TopicState(spec.name, "created")
        if spec.name in created
        else TopicState(spec.name, *problems.get(spec.name, ("existed", "")))
        for spec in specs
    ]


async def check_topics(config: Config) -> None:
    """Raise ConfigError naming every required topic that is missing or wrong, BrokerUnavailable if none answers."""
    specs = topic_specs(config)
    async with _admin(config) as admin:
        problems = await _problems(admin, [spec for spec in specs if spec.required])
    if problems:
        raise ConfigError(
            "\n".join(["Kafka topics are not as they must be:", *(f"- {p}" for _, p in problems.values())])
        )


async def wait_for_broker(config: Config, timeout_s: float) -> None:
    """Return as soon as the broker answers. Raises BrokerUnavailable after ``timeout_s``."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        try:
            async with _admin(config):
                return
        except BrokerUnavailable:
            if asyncio.get_running_loop().time() > deadline:
                raise
        await asyncio.sleep(0.1)


def group_of(config: Config, worker: str) -> str:
    """The consumer group of a worker."""
    return f"{config.kafka.prefix}{config.generation}.{worker}"


def partition_of(key: str, partitions: int) -> int:
    """The partition, in [0, partitions), that Kafka's default partitioner gives to ``key`` (murmur2 of its UTF-8)."""
    return int((murmur2(key.encode()) & 0x7FFFFFFF) % partitions)


def _kept(days: int) -> dict[str, str]:
    # By the broker's clock: what a replay publishes about events of long ago must not expire at once.
    return {
        "cleanup.policy": "delete",
        "retention.ms": str(days * DAY_MS),
        "message.timestamp.type": "LogAppendTime",
    }


@asynccontextmanager
async def _admin(config: Config) -> AsyncIterator[Any]:
    admin = AIOKafkaAdminClient(**client_arguments(config.kafka), request_timeout_ms=REQUEST_TIMEOUT_MS)
    try:
        try:
            with unsaid():
                await admin.start()
            if not (await admin.describe_cluster())["brokers"]:  # a node that is still starting
                raise KafkaConnectionError("no broker is registered")
        except ValueError:
            raise ConfigError(f"kafka.brokers: expected host:port,host:port,…, got {config.kafka.brokers!r}") from None
        except (KafkaError, OSError, TimeoutError, AssertionError) as error:
            if reason := await refusal(config.kafka):
                raise BrokerRefused(f"Kafka at {config.kafka.brokers} refuses divrec: {reason}") from None
            raise _unavailable(config, error) from None
        try:
            yield admin
        except (KafkaError, OSError, TimeoutError) as error:
            if isinstance(error, KafkaError) and not error.retriable:
                raise
            raise _unavailable(config, error) from error
    finally:
        await admin.close()


def _unavailable(config: Config, error: BaseException) -> BrokerUnavailable:
    return BrokerUnavailable(
        f"Kafka: expected a broker at {config.kafka.brokers}, none answers ({type(error).__name__}): start one "
        f"(`divrec up` has its own), correct kafka.brokers (DIVREC_KAFKA__BROKERS) or kafka.security "
        f"(now {config.kafka.security}), or let it advertise an address that can be reached from here"
    )


async def _present(admin: Any) -> dict[str, int]:
    """Partitions by topic. Asks for all: a broker may create a topic that is asked for by name."""
    return {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics()}


async def _create(admin: Any, specs: list[TopicSpec], config: Config) -> set[str]:
    replication = config.kafka.replication
    # With three replicas an acknowledged record survives the loss of a broker only if two had to have it.
    durable = {"min.insync.replicas": "2"} if replication >= 3 else {}
    new = [NewTopic(s.name, s.partitions, replication, topic_configs={**s.settings, **durable}) for s in specs]
    response = (await admin.create_topics(new, timeout_ms=REQUEST_TIMEOUT_MS)).to_object()
    created, refused = set(), []
    for answer in response["topic_errors"]:
        error = for_code(answer["error_code"])
        if answer["error_code"] == 0:
            created.add(answer["topic"])
        elif error is not TopicAlreadyExistsError:  # somebody else created it in between: it is checked like any other
            refused.append(f"- {answer['topic']}: {answer.get('error_message') or error.__name__}")
    if refused:
        raise ConfigError("\n".join(["Kafka refused to create topics:", *refused]))
    deadline = asyncio.get_running_loop().time() + SHOWN_WITHIN_S
    while not created <= (await _present(admin)).keys() and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.05)
    return created


async def _problems(admin: Any, specs: list[TopicSpec]) -> dict[str, Problem]:
    present = await _present(admin)
    policies = await _cleanup_policies(admin, [s.name for s in specs if s.name in present and not s.external])
    found = ((s.name, _problem(s, present.get(s.name), policies.get(s.name))) for s in specs)
    return {name: problem for name, problem in found if problem}


def _problem(spec: TopicSpec, partitions: int | None, policy: str | None) -> Problem | None:
    expected = spec.settings.get("cleanup.policy")
    if partitions is None:
        remedy = "create it or correct topics.*.name" if spec.external else "run `divrec topics create`"
        return "missing", f"{spec.name} does not exist: {remedy}"
    if spec.exact and partitions != spec.partitions:
        remedy = f"set kafka.partitions to {partitions}, or " if spec.partitions > 1 else ""
        return (
            "wrong",
            f"{spec.name}: expected {spec.partitions} partitions, got {partitions}: {remedy}delete the topic, if its "
            f"events may go, and run `divrec topics create`",
        )
    if expected and policy and policy != expected:
        return (
            "wrong",
            f"{spec.name}: expected cleanup.policy={expected}, got {policy}: set it with Kafka's own tools, or delete "
            f"the topic, if its records may go, and run `divrec topics create`",
        )
    return None


async def _cleanup_policies(admin: Any, names: list[str]) -> dict[str, str]:
    """The cleanup policy by topic; nothing for what the broker does not tell (it may lack the request or the right).

    Asks for all settings of a topic: the embedded broker hangs up on a request for named ones.
    """
    if not names:
        return {}
    try:
        responses = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    except KafkaError:
        return {}
    return {
        resource["resource_name"]: entry["config_value"]
        for response in responses
        for resource in response.to_object()["resources"]
        for entry in resource["config_entries"]
        if entry["config_names"] == "cleanup.policy"
    }
