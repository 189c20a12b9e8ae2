"""Topics are created once, as the architecture says, and a worker's check tells what is not right."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from hypothesis import given
from hypothesis import strategies as st

from divrec.config import Config, InputTopic, KafkaConfig, TopicsConfig
from divrec.errors import ConfigError
from streams.local.servers import LOOPBACK, free_ports
from streams.topics import BrokerUnavailable, Topics, check_topics, create_topics, partition_of, topic_specs
from tests.servers import Broker, KafkaServer, ValkeyServer, config_for


def test_names() -> None:
    topics = Topics(Config(generation="g7", topics=TopicsConfig(clicks=InputTopic(name="shop.clicks"))))
    assert topics.clicks == "shop.clicks"
    assert topics.requests == "divrec.requests"
    assert topics.item_vectors == "divrec.item-vectors"
    assert topics.model_log == "divrec.model-log.g7"
    assert topics.dead_letters == "divrec.dead-letters"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"topics": {"clicks": {"name": "a b"}}}, "topics.clicks.name"),
        ({"topics": {"clicks": {"name": "divrec.events"}}}, "clicks and events|events and clicks"),
        ({"topics": {"clicks": {"name": "x"}, "reviews": {"name": "x"}}}, "same name 'x'"),
        ({"kafka": {"prefix": "größe."}}, "kafka.prefix"),
    ],
)
def test_unusable_names_are_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        topic_specs(Config(**settings))


def test_only_the_partitions_that_carry_the_order_are_exact() -> None:
    exact = {spec.name: spec.partitions for spec in topic_specs(Config()) if spec.exact}
    assert exact == {"divrec.events": 8, "divrec.model-log.g1": 1}


def test_created_once_then_checked(config: Config) -> None:
    with pytest.raises(ConfigError, match=r"events does not exist.*divrec topics create") as missing:
        asyncio.run(check_topics(config))
    assert f"{config.kafka.prefix}catalog does not exist" in str(missing.value)
    assert {state.state for state in asyncio.run(create_topics(config))} == {"created"}
    assert {state.state for state in asyncio.run(create_topics(config))} == {"existed"}
    asyncio.run(check_topics(config))


def test_wrong_partitions_and_policy_are_refused(config: Config) -> None:
    topics = Topics(config)
    wrong = [
        NewTopic(topics.events, 3, 1),
        NewTopic(topics.model_log, 2, 1),
        NewTopic(topics.catalog, 4, 1, topic_configs={"cleanup.policy": "delete"}),
    ]
    asyncio.run(_create(config, wrong))
    states = {state.name: state for state in asyncio.run(create_topics(config))}
    assert [states[topic.name].state for topic in wrong] == ["wrong", "wrong", "wrong"]
    assert states[topics.items].state == "created"
    with pytest.raises(ConfigError) as refused:
        asyncio.run(check_topics(config))
    assert "expected 4 partitions, got 3: set kafka.partitions to 3" in str(refused.value)
    assert "expected 1 partitions, got 2" in str(refused.value)
    assert "expected cleanup.policy=compact, got delete" in str(refused.value)


def test_input_topics_of_the_user_are_left_alone(broker: Broker, valkey: ValkeyServer, tmp_path: Path) -> None:
    config = config_for(broker, valkey, tmp_path, topics={"clicks": {"name": f"{tmp_path.name}-shop"}})
    clicks = Topics(config).clicks
    states = {state.name: state for state in asyncio.run(create_topics(config))}
    assert states[clicks].state == "missing"
    with pytest.raises(ConfigError, match=f"{clicks} does not exist: create it or correct topics"):
        asyncio.run(check_topics(config))
    asyncio.run(_create(config, [NewTopic(clicks, 1, 1)]))
    asyncio.run(check_topics(config))


def test_unreachable_broker_is_told_apart() -> None:
    address = f"{LOOPBACK}:{free_ports(1)[0]}"
    for function in (check_topics, create_topics):
        with pytest.raises(BrokerUnavailable, match=f"expected a broker at {address}, none answers.*kafka.brokers"):
            asyncio.run(function(Config(kafka=KafkaConfig(brokers=address))))


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"kafka.brokers: expected host:port.*got 'here:there'"):
        asyncio.run(check_topics(Config(kafka=KafkaConfig(brokers="here:there"))))


@pytest.mark.kafka
def test_settings_on_kafka(kafka_broker: KafkaServer, valkey: ValkeyServer, tmp_path: Path) -> None:
    config = config_for(kafka_broker, valkey, tmp_path)
    asyncio.run(create_topics(config))
    for spec in topic_specs(config):
        found = asyncio.run(_settings(config, spec.name))
        assert {name: found[name] for name in spec.settings} == spec.settings


@pytest.mark.kafka
def test_a_refusal_of_the_broker_is_told(kafka_broker: KafkaServer, valkey: ValkeyServer, tmp_path: Path) -> None:
    config = config_for(kafka_broker, valkey, tmp_path, kafka={"replication": 3})
    with pytest.raises(ConfigError, match=r"refused to create topics:\n- .*replication factor"):
        asyncio.run(create_topics(config))


@given(st.text(max_size=300), st.integers(1, 64))
def test_partition_is_in_range(key: str, partitions: int) -> None:
    assert 0 <= partition_of(key, partitions) < partitions


@pytest.mark.parametrize(
    ("key", "hashed"),
    # Kafka's own unit test of Utils.murmur2
    [("21", -973932308), ("foobar", -790332482), ("a-little-bit-long-string", -985981536), ("abc", 479470107)],
)
def test_partition_is_that_of_java(key: str, hashed: int) -> None:
    assert partition_of(key, 1_000_003) == (hashed & 0x7FFFFFFF) % 1_000_003


def test_partition_is_that_of_the_producer(config: Config) -> None:
    asyncio.run(create_topics(config))
    keys = ["", "u1", "Müller", "用户42", "x" * 200]
    assert asyncio.run(_partitions(config, keys)) == [partition_of(key, 4) for key in keys]


async def _create(config: Config, topics: list[NewTopic]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=config.kafka.brokers)
    await admin.start()
    try:
        await admin.create_topics(topics)
        while not {topic.name for topic in topics} <= set(await admin.list_topics()):
            await asyncio.sleep(0.02)
    finally:
        await admin.close()


async def _settings(config: Config, topic: str) -> dict[str, str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=config.kafka.brokers)
    await admin.start()
    try:
        (response,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        return {e["config_names"]: e["config_value"] for e in response.to_object()["resources"][0]["config_entries"]}
    finally:
        await admin.close()


async def _partitions(config: Config, keys: list[str]) -> list[int]:
    producer = AIOKafkaProducer(bootstrap_servers=config.kafka.brokers)
    await producer.start()
    try:
        sent = [await producer.send_and_wait(Topics(config).events, b"", key=key.encode()) for key in keys]
        return [record.partition for record in sent]
    finally:
        await producer.stop()
