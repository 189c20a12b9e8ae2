"""A small soak: everything that can grow is at its bound nearly all the time, and no guarantee breaks."""

from pathlib import Path

from benchmarks.soak import EngineSoak, over
from benchmarks.world import Step, World
from divrec.config import Config
from divrec.deltas import decode_record, encode_record
from divrec.engine import Engine
from divrec.events import Click, Review
from divrec.profile import encode_profile
from divrec.state.snapshot import latest_snapshot, write_snapshot

EVENTS = 60_000
CONFIG = Config(
    profile={"history": 12, "consumed": 4, "event_ids": 8, "keywords": 6},
    model={"max_items": 256, "neighbours": 12, "history": 8},
    worker={"cached_profiles": 150},
)


def test_everything_stays_within_its_bound_and_every_guarantee_holds(tmp_path: Path) -> None:
    soak = EngineSoak(CONFIG, World(3, 250, 270, CONFIG.encoder.model, dimensions=64))
    replicas = [Engine(CONFIG)]
    consumed: dict[str, set[str]] = {}

    def told(step: Step, fresh: list[str]) -> None:
        for engine in replicas:  # in another order, and without vectors
            for item in reversed(step.items):
                engine.put_item(item)
        consumed.update({user: set() for user in fresh})
        for event in step.events:
            action = event.action if isinstance(event, Click) else "review"
            if isinstance(event, Click | Review) and action in CONFIG.slate.consumed_actions:
                consumed[event.user_id].add(event.item_id)
        if len(consumed) > 1_000:
            for user in consumed.keys() - soak.profiles.keys():
                del consumed[user]

    version, steps, filters, most_items = 0, 0, 0, 0
    while soak.world.events < EVENTS:
        soak.step(500, told)
        for record in soak.records:
            if record.deltas:
                for engine in replicas:
                    engine.apply(decode_record(encode_record(record)), version)
                version += 1
        assert over(soak.sizes()) == [] and over(replicas[0].sizes()) == []
        steps += 1
        if steps == 60:  # a third one goes on from a snapshot
            write_snapshot(tmp_path, replicas[0].model.state(), keep=1)
            state = latest_snapshot(tmp_path)
            assert state is not None
            replicas.append(Engine(CONFIG))
            replicas[1].model.restore(state)
        if steps % 12 == 0:
            digests = {engine.model.state().digest() for engine in (soak.engine, *replicas)}
            assert len(digests) == 1, "replicas agree also on what they forgot"
            for user, profile in soak.profiles.items():
                # What is in a slate is not in the profile's set: the soak looks at each. And the set misses nothing.
                assert all(item in profile.consumed for item in consumed[user])
                assert len(profile.consumed.packed) <= 4 * 4 and len(profile.event_ids) <= 8 * 8
                assert len(profile.items) <= 12 and len(profile.keywords) <= 6 and len(encode_profile(profile)) < 3_000
            filters += sum(profile.consumed.filtered for profile in soak.profiles.values())
        most_items = max(most_items, len(soak.engine.model))
    world, sizes = soak.world, soak.sizes()
    assert world.entered > 10 * 256 and most_items > 0.9 * 256, "the model evicts"
    assert world.withdrawals > sizes["catalog_withdrawn_bound"] == sizes["catalog_withdrawn"], "more than it remembers"
    assert sizes["catalog_refused"] > 0 and soak.forgotten > 1_000 and filters > 100 and soak.slates > EVENTS / 20
