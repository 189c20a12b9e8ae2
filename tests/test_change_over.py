"""Changing over to the vectors of another text model."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from divrec.catalog import Catalog
from divrec.config import Config
from divrec.deltas import Delta, ModelLogRecord
from divrec.engine import Engine
from divrec.errors import EventError
from divrec.events import Item, ItemVector, ModelReady, Review, pack_vector
from divrec.items import ItemIndex
from divrec.profile import Profile
from divrec.staging import Markers, Staging


def vector(item_id: str, model: str, dimensions: int) -> ItemVector:
    seed = int.from_bytes(f"{model}|{item_id}".encode()[-8:], "little")
    made = np.random.default_rng(seed).normal(size=dimensions).astype(np.float32)
    return ItemVector(item_id=item_id, model=model, vector=pack_vector(made / np.linalg.norm(made)))


def engine_of(items: int, models: dict[str, int], max_items: int = 1_000) -> Engine:
    """With items and their vectors of each model; the first is the configured one."""
    engine = Engine(Config(encoder={"model": next(iter(models))}, model={"max_items": max_items}))
    for n in range(items):
        engine.put_item(Item(item_id=f"i{n}", title="item", ts=n + 1))
    for model, dimensions in models.items():
        for n in range(items):
            engine.put_vector(vector(f"i{n}", model, dimensions))
    return engine


def check(catalog: Catalog) -> None:
    """What must hold of the arrays at any time."""
    held = catalog.has_vector
    lengths = np.linalg.norm(catalog.vectors, axis=1)
    assert catalog.vectors.shape[1] == catalog.dimensions == len(catalog.centre)
    assert np.allclose(lengths[held], 1, atol=1e-3) and not lengths[~held].any()
    assert (catalog.near == (held & catalog.listed)).all()
    assert catalog.sizes()["catalog_vectors"] == held.sum()


def test_after_it_the_catalogue_is_as_if_there_had_been_no_other_model() -> None:
    engine = engine_of(3_000, {"a": 96, "b": 48}, max_items=5_000)  # enough for cells
    fresh = engine_of(3_000, {"b": 48}, max_items=5_000)
    assert (engine.catalog.model, engine.catalog.dimensions) == ("a", 96)
    engine.change_over("b")
    check(engine.catalog)
    assert (engine.catalog.model, engine.catalog.dimensions) == ("b", 48)
    assert len(engine.staging) == 0
    fresh.catalog._recentre()
    assert np.allclose(engine.catalog.centre, fresh.catalog.centre, atol=1e-6)
    assert np.allclose(engine.catalog.vectors, fresh.catalog.vectors, atol=1e-3)
    for n in range(0, 3_000, 300):
        query = engine.catalog.vectors[n]
        found, cosines = engine.catalog.nearest(query, 5)
        assert found[0] == n and cosines[0] > 0.999
    profile = Profile("u", 0, items=["i1"], actions=["like"], feedback=[1.0], ts=[1])
    assert [item.item_id for item in engine.recommend(profile, 2)]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["put", "drop", "withdraw", "list", "over"]))), st.data()
)
def test_vectors_of_two_models_never_meet(steps: list[tuple[str, str]], data: st.DataObject) -> None:
    sizes = {"a": 24, "b": 70}
    engine = engine_of(6, {"a": 24})
    for model, step in steps:
        item = f"i{data.draw(st.integers(0, 9))}"
        match step:
            case "put":
                engine.put_vector(vector(item, model, sizes[model]))
            case "drop":
                engine.drop_vector(model, item)
            case "withdraw":
                engine.put_item(Item(item_id=item, available=False))
            case "list":
                engine.put_item(Item(item_id=item, title="x"))
            case "over":
                engine.change_over("b" if engine.catalog.model == "a" else "a")
        check(engine.catalog)
        catalog = engine.catalog
        for row in np.flatnonzero(catalog.has_vector):
            expected = vector(engine.items.id(int(row)), catalog.model, sizes[catalog.model])
            assert catalog._raw[row].astype("<f2").tobytes() == expected.vector
        assert engine.staging.model != catalog.model or not len(engine.staging)


def test_what_is_gone_or_unknown_keeps_no_row() -> None:
    engine = engine_of(3, {"a": 16})
    engine.put_vector(vector("unlisted", "a", 16))
    engine.put_vector(vector("learned", "a", 16))
    engine.apply(ModelLogRecord(0, [Delta(0, "learned", 1.0, 1, [])]), 0)
    engine.put_vector(vector("i0", "b", 32))
    engine.put_vector(vector("new", "b", 32))
    engine.put_item(Item(item_id="i2", available=False))
    engine.put_vector(vector("i2", "b", 32))
    engine.change_over("b")
    check(engine.catalog)
    known = {item for item in engine.items.ids if item}
    assert {"i0", "i1", "learned", "new"} == known
    assert [bool(engine.catalog.has_vector[engine.items.get(i)]) for i in ("i0", "i1", "learned", "new")] == [
        True,
        False,
        False,
        True,
    ]


def test_a_model_without_any_vector_can_be_changed_over_to() -> None:
    engine = engine_of(3, {"a": 16})
    engine.change_over("b")
    assert engine.catalog.dimensions == 0
    profile = Profile("u", 0, items=["i1"], actions=["like"], feedback=[1.0], ts=[1])
    assert len(engine.recommend(profile, 9)) == 3
    engine.put_vector(vector("i1", "b", 200))
    check(engine.catalog)
    engine.recommend(profile, 2)


def test_reviews_of_both_models_are_taken_at_any_time_and_count_for_their_own() -> None:
    engine = engine_of(3, {"a": 16})

    def observed(profile: Profile, model: str, dimensions: int, offset: int) -> Profile:
        made = vector("r", model, dimensions)
        review = Review(user_id="u", item_id="i1", text="x", ts=1, model=model, vector=made.vector)
        return engine.observe(profile, review, f"e{offset}", offset).profile

    profile = observed(Profile("u", 0), "a", 16, 0)
    profile = observed(profile, "b", 32, 1)
    assert (profile.review_model, len(profile.review_vector)) == ("b", 64)
    engine.recommend(profile, 1)
    for n in range(3):
        engine.put_vector(vector(f"i{n}", "b", 32))
    engine.change_over("b")
    profile = observed(profile, "b", 32, 2)
    assert {reason.code for item in engine.recommend(profile, 1) for reason in item.reasons}
    mixed = observed(profile, "a", 16, 3)
    assert (mixed.review_model, len(mixed.review_vector)) == ("a", 32)
    engine.recommend(mixed, 1)


def test_the_newest_complete_marker_counts() -> None:
    markers = Markers()
    assert markers.newest(2) == ("", 0)
    markers.put(0, ModelReady(model="a", items=1, ts=5))
    assert markers.newest(2) == ("", 0)
    markers.put(1, ModelReady(model="a", items=1, ts=5))
    assert markers.newest(2) == ("a", 5)
    markers.put(0, ModelReady(model="b", items=1, ts=7))
    assert markers.newest(2) == ("a", 5)
    markers.put(1, ModelReady(model="b", items=1, ts=7))
    assert markers.newest(2) == ("b", 7)
    markers.put(0, ModelReady(model="a", items=1, ts=9))
    assert markers.newest(2) == ("b", 7), "the other partition has only the old marker of a"
    markers.put(1, ModelReady(model="a", items=1, ts=9))
    assert markers.newest(2) == ("a", 9)
    for partition in (0, 1):
        markers.drop(partition, "a")
    assert markers.newest(2) == ("b", 7)


def test_staging_knows_whether_it_holds_all() -> None:
    staging = Staging(3)
    for n in range(5):
        staging.put(vector(f"i{n}", "b", 8))
    assert (len(staging), staging.ignored) == (3, 2)
    assert staging.holds_all("b"), "what is over the bound would not be kept the next time either"
    staging.put(vector("i0", "c", 4))
    assert staging.model == "c" and not staging.holds_all("b") and staging.holds_all("c")
    staging.put(vector("i1", "b", 8))
    assert staging.model == "c", "b must be read again in any case"
    staging.expect("b")
    assert staging.holds_all("b") and not staging.holds_all("c")
    staging.put(vector("i1", "d", 8))
    staging.put(vector("i1", "b", 8))
    assert set(staging.take("b")) == {"i1"} and not staging.holds_all("d")
    staging.put(vector("i1", "e", 8))
    staging.drop("e", "i1")
    staging.put(vector("i1", "f", 8))
    assert staging.holds_all("e"), "nothing of it was there"


def test_a_bad_vector_is_refused_and_displaces_nothing() -> None:
    staging = Staging(3)
    staging.put(vector("i0", "b", 8))
    for bad in (b"", b"x", pack_vector(np.zeros(8, np.float32)), pack_vector(np.full(8, np.nan, np.float32))):
        with pytest.raises(EventError):
            staging.put(ItemVector(item_id="i1", model="c", vector=bad))
    with pytest.raises(EventError):
        staging.put(vector("i1", "b", 16))
    assert staging.model == "b" and len(staging) == 1


def test_a_full_catalogue_takes_no_more_items_than_before() -> None:
    engine = engine_of(4, {"a": 8}, max_items=4)
    for n in range(20):
        engine.put_vector(vector(f"x{n}", "b", 8))
    engine.change_over("b")
    check(engine.catalog)
    assert len(engine.items) <= 8


def test_a_catalogue_of_nothing_but_vectors() -> None:
    catalog = Catalog(ItemIndex(2), 10)
    catalog.change_over("m", {f"i{n}": pack_vector(np.eye(5, dtype=np.float32)[n]) for n in range(5)})
    check(catalog)
