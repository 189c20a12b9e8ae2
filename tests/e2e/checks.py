"""What must be true at the end, whatever went wrong on the way."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise

import numpy as np
from msgspec.structs import replace

from divrec.config import Config
from divrec.deltas import Delta, decode_record
from divrec.engine import Engine
from divrec.profile import Profile, decode_profile
from divrec.state.redis import RedisStore
from streams.codec import Message, decode_recommendation
from streams.replica import Replica, read_replica
from streams.topics import Topics, partition_of
from tests.e2e.crew import Crew
from tests.e2e.faulty_worker import POISON
from tests.e2e.offline import Expected, Position, expected, pair_counts
from tests.streams.running import headers, read_all


def stored_profiles(config: Config, users: Iterable[str]) -> dict[str, Profile]:
    async def loading() -> dict[str, Profile]:
        store = RedisStore(config.redis, f"{config.kafka.prefix}{config.generation}")
        try:
            loaded = await store.load(list(users), [])
        finally:
            await store.close()
        partitions = config.kafka.partitions
        return {user: decode_profile(data, partition_of(user, partitions)) for user, data in loaded.profiles.items()}

    return asyncio.run(loading())


def replica_of(config: Config) -> Replica:
    return asyncio.run(read_replica(config))


def check_effects(crew: Crew, events: list[Message]) -> Expected:
    """Every effect of ``events``, the whole log, is there, once; returns what was expected."""
    config, topics = crew.config, Topics(crew.config)
    outputs = read_all(config, topics.recommendations, topics.dead_letters, topics.model_log)
    fresh = replica_of(crew.configuration("nobody"))
    awaited = expected(config, fresh.engine, events)
    assert crew.watermarks() == [awaited.ends[p] - 1 for p in range(config.kafka.partitions)]
    check_profiles(config, awaited)
    check_recommendations(config, outputs[topics.recommendations], awaited)
    check_dead_letters([m for m in outputs[topics.dead_letters] if headers(m)["divrec-stage"] == "recommend"], awaited)
    check_counts(outputs[topics.model_log], fresh, awaited)
    return awaited


def check_profiles(config: Config, awaited: Expected) -> None:
    stored = stored_profiles(config, awaited.profiles)
    assert stored.keys() == awaited.profiles.keys()
    wrong = [user for user, profile in awaited.profiles.items() if stored[user] != profile]
    for user in wrong[:3]:
        print(user, "\n stored  ", stored[user], "\n expected", awaited.profiles[user])
    assert not wrong
    counted = {user: profile.events for user, profile in stored.items() if user in awaited.event_ids}
    assert counted == {user: len(ids) for user, ids in awaited.event_ids.items()}


def check_recommendations(config: Config, messages: list[Message], awaited: Expected) -> None:
    found: set[Position] = set()
    for message in messages:
        made = decode_recommendation(message.value or b"")
        position = (made.trigger.partition, made.trigger.offset)
        assert made.recommendation_id == f"{config.generation}:{position[0]}:{position[1]}"
        assert position in awaited.slates, f"{position}: a recommendation that nothing asked for"
        profile = awaited.slates[position]
        assert made.user_id == profile.user_id
        assert not [item.item_id for item in made.items if item.item_id in profile.consumed]
        found.add(position)
    missing = sorted(awaited.slates.keys() - found)
    assert not missing, f"{len(missing)} recommendations are missing: {missing[:20]}"


def check_dead_letters(letters: list[Message], awaited: Expected) -> None:
    found = {}
    for letter in letters:
        told = headers(letter)
        found[int(told["divrec-partition"]), int(told["divrec-offset"])] = told["divrec-reason"]
        if told["divrec-reason"] == "poisoned":
            assert "ZeroDivisionError: a bug in observe" in told["divrec-detail"]
            assert POISON.encode() in (letter.value or b"")
    assert found == awaited.dead


def check_counts(model_log: list[Message], fresh: Replica, awaited: Expected) -> None:
    """The log holds the expected deltas, first occurrences in order; a replica counted each once.

    A delta that is made again after a crash brings another lesson and verdict, of the model as it is then: the first
    ones count.
    """
    logged: dict[Position, Delta] = {}
    order: dict[int, list[int]] = defaultdict(list)
    for message in model_log:
        record = decode_record(message.value or b"")
        for delta in record.deltas:
            if (record.partition, delta.offset) not in logged:
                order[record.partition].append(delta.offset)
            untaught = replace(delta, lesson=b"", verdict=b"")
            assert logged.setdefault((record.partition, delta.offset), untaught) == untaught
    assert all(before < after for offsets in order.values() for before, after in pairwise(offsets))
    differing = [position for position, delta in awaited.deltas.items() if logged.get(position) != delta]
    assert not differing, f"{len(differing)} deltas: {differing[:10]}"
    assert logged.keys() == awaited.deltas.keys()

    engine, model = fresh.engine, fresh.engine.model
    items, pairs = pair_counts(awaited.deltas.values())
    assert model.interactions == len(awaited.deltas)
    assert fresh.skipped == 0
    rows = [engine.items.get(item) for item in items]
    assert np.allclose(model.counts[rows], list(items.values()), rtol=1e-4)
    assert counted_pairs(engine) == {pair: round(weight, 1) for pair, weight in pairs.items()}


def counted_pairs(engine: Engine) -> dict[tuple[str, str], float]:
    table, found = engine.model.pairs, {}
    for row, slot in np.argwhere(table.ids >= 0).tolist():
        pair = (engine.items.id(row), engine.items.id(int(table.ids[row, slot])))
        found[pair] = round(float(table.weights[row, slot, 0]), 1)
    return found


def check_replicas(crew: Crew, model_log: list[Message] | None = None) -> None:
    """Whoever followed the model log stood the same at the same offsets, from the start or from a snapshot."""
    logs = model_log if model_log is not None else read_all(crew.config, topic := Topics(crew.config).model_log)[topic]
    engine = Engine(crew.config)
    truth: dict[int, str] = {}
    wanted = set().union(*crew.digests())
    for message in logs:
        engine.apply(decode_record(message.value or b""), message.offset)
        if message.offset + 1 in wanted:
            truth[message.offset + 1] = engine.model.state().digest()
    for logged in crew.digests():
        assert logged == {version: truth[version] for version in logged}
    shared = Counter(version for logged in crew.digests() for version in logged)
    assert any(count > 1 for count in shared.values()), "no two workers logged a digest at one offset"
    now = {name: replica_of(crew.configuration(name)).engine.model for name in crew.names("recommend")}
    assert {(model.version, model.state().digest()) for model in now.values()} == {
        (engine.model.version, engine.model.state().digest())
    }
