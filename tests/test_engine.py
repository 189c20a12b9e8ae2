"""What the engine does with one event and one user; what holds for any stream is in test_slate_property.py."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from divrec.config import Config
from divrec.deltas import Delta, ModelLogRecord, decode_record, encode_record
from divrec.engine import Ask, Engine, Observed, feedback_of
from divrec.errors import EventError
from divrec.events import Click, Item, ItemVector, Request, Review, SlateItem, pack_vector
from divrec.interest.keywords import WORDS_PER_EVENT, faded
from divrec.interest.lift import packed_words, word_hash
from divrec.model import DAY_MS
from divrec.profile import Profile

MODEL = Config().encoder.model
NOW = 1_700_000_000_000


def unit(seed: int, dimensions: int = 16) -> np.ndarray[Any, np.dtype[np.float32]]:
    found = np.random.default_rng(seed).normal(size=dimensions).astype(np.float32)
    return found / np.linalg.norm(found)


def with_items(
    count: int, config: Config | None = None, *, ts: int = 0, vectors: bool = False, words: bool = True
) -> Engine:
    engine = Engine(config or Config())
    for n in range(count):
        engine.put_item(Item(item_id=f"i{n}", title=f"item {n}", categories=[f"C{n % 5}"] if words else [], ts=ts))
        if vectors:
            engine.put_vector(ItemVector(item_id=f"i{n}", model=MODEL, vector=pack_vector(unit(n))))
    return engine


def clicked(engine: Engine, profile: Profile, item_id: str, ts: int = NOW, **fields: Any) -> Observed:
    offset = profile.offset + 1
    click = Click(user_id=profile.user_id, item_id=item_id, ts=ts, **fields)
    return engine.observe(profile, click, f"{profile.user_id} {offset}", offset)


def ids(slate: list[SlateItem]) -> list[str]:
    return [item.item_id for item in slate]


@pytest.mark.parametrize("ts", [0, NOW, NOW + 10**9], ids=["no time", "now", "future"])
def test_a_new_user_gets_a_slate_before_any_interaction(ts: int) -> None:
    slate = with_items(30, ts=ts).recommend(Profile("new", 0), NOW)
    assert len(set(ids(slate))) == 10


def test_no_items_no_slate() -> None:
    assert Engine(Config()).recommend(Profile("new", 0), NOW) == []
    assert Engine(Config()).recommend_all([]) == []


def test_a_slate_of_k_items_and_none_at_0() -> None:
    engine = with_items(30, vectors=True)
    for k in (0, 1, 29, 200):
        assert len(engine.recommend(Profile("new", 0), NOW, k=k)) == min(k, 30)


def test_a_new_item_is_found_by_its_vector_alone() -> None:
    engine = with_items(200, Config(slate={"fresh_days": 0.001}), ts=NOW - DAY_MS, vectors=True, words=False)
    profile = clicked(engine, Profile("u", 0), "i7", action="like").profile
    near = unit(7) + 0.2 * unit(1_000)
    engine.put_item(Item(item_id="new", ts=1))
    engine.put_vector(ItemVector(item_id="new", model=MODEL, vector=pack_vector(near / np.linalg.norm(near))))
    first = engine.recommend(profile, NOW, diversity=0.0)[0]
    assert first.item_id == "new"
    assert [(reason.code, reason.item_id) for reason in first.reasons] == [("content", "i7")]


def test_a_click_changes_the_very_next_slate() -> None:
    engine = with_items(50)
    for n in range(40):
        other = Profile(f"other {n}", 0)
        for step in range(2):  # whoever clicked 2n clicked 2n + 1
            observed = clicked(engine, other, f"i{(2 * n + step) % 40}")
            other = observed.profile
            assert observed.delta is not None
            engine.model.learn_all([observed.delta])
    profile = Profile("u", 0)
    before = engine.recommend(profile, NOW, diversity=0.0)
    after = engine.recommend(clicked(engine, profile, "i10").profile, NOW, diversity=0.0)
    assert after[0].item_id == "i11" != before[0].item_id
    assert {reason.item_id for reason in after[0].reasons if reason.code == "transition"} == {"i10"}
    assert "i10" not in ids(after)


def test_many_asks_at_once_are_as_many_alone() -> None:
    engine = with_items(60, vectors=True)
    asks, profile = [], Profile("u", 0)
    for n in range(25):
        observed = clicked(engine, profile, f"i{n % 9}", action=("like", "view", "skip", "dislike")[n % 4])
        profile = observed.profile
        if observed.delta is not None:
            engine.apply(ModelLogRecord(0, [observed.delta]), n)
        asks.append(Ask(profile, NOW + n, 1 + n % 12, n / 25, [f"i{n + at}" for at in range(n % 4)]))
    together = engine.recommend_all(asks)
    assert together == [
        engine.recommend(a.profile, a.now, k=a.k, diversity=a.diversity, exclude=a.exclude) for a in asks
    ]
    assert engine.recommend_all(asks[::-1])[::-1] == together


def test_a_popularity_of_many_half_lives_is_no_nan() -> None:
    """What is popular after decades: s(i) outgrows float32."""
    engine = Engine(Config())
    for n in range(400):
        engine.apply(ModelLogRecord(0, [Delta(n, f"i{n % 50}", 1.0, n * 30 * DAY_MS, [f"i{(n + 49) % 50}"])]), n)
    for diversity in (0.0, 0.5):
        slate = engine.recommend(Profile("new", 0), 400 * 30 * DAY_MS, diversity=diversity)
        assert ids(slate) == [f"i{n}" for n in range(49, 39, -1)], "the newest interactions weigh most"
        assert all(0.0 <= item.relevance <= 1.0 for item in slate)
        assert [reason.code for reason in slate[0].reasons] == ["popular_now"]


def test_a_liked_item_is_no_reason_for_itself() -> None:
    engine = with_items(30, vectors=True, words=False)
    profile = clicked(engine, Profile("u", 0), "i3", action="view").profile
    slate = engine.recommend(profile, NOW, diversity=0.0)
    assert slate[0].item_id == "i3", "a view does not consume it, and nothing is nearer to it"
    assert slate[0].reasons[0].code == "content" and slate[0].reasons[0].item_id is None
    assert slate[1].reasons[0].item_id == "i3"


def test_reasons_have_referents_and_shares() -> None:
    engine = with_items(40, vectors=True)
    profile = Profile("u", 0)
    seen = set()
    for n in range(60):
        observed = clicked(engine, profile, f"i{n * 7 % 20}", action="view", ts=NOW + n)
        profile = observed.profile
        assert observed.delta is not None
        engine.apply(ModelLogRecord(0, [observed.delta]), n)
        for item in engine.recommend(profile, NOW + n):
            shares = [reason.share for reason in item.reasons]
            assert shares == sorted(shares, reverse=True) and sum(shares) <= 1.001
            assert len(item.reasons) <= 3 and all(0.1 <= share <= 1.0 for share in shares)
            for reason in item.reasons:
                seen.add(reason.code)
                if reason.code in ("item_neighbour", "transition"):
                    assert reason.item_id in profile.items
                if reason.code == "content":
                    assert reason.item_id is None or reason.item_id in profile.items
                assert (reason.code == "keyword") == (reason.keyword is not None)
                assert reason.keyword is None or reason.keyword in profile.keywords
    assert seen >= {"item_neighbour", "transition", "keyword", "popular_now"}


def test_the_own_reviews_are_a_reason() -> None:
    engine = with_items(30, vectors=True)
    review = Review(user_id="u", item_id="unknown", text="t", ts=NOW, model=MODEL, vector=pack_vector(unit(5)))
    profile = engine.observe(Profile("u", 0), review, "r", 0).profile
    first = engine.recommend(profile, NOW, diversity=0.0)[0]
    assert (first.item_id, first.reasons[0].code) == ("i5", "review")


def test_diversity_0_is_the_relevance_order_and_more_is_less_alike() -> None:
    engine = with_items(80, vectors=True)
    profile = clicked(engine, Profile("u", 0), "i1", action="like").profile
    alike = []
    for diversity in (0.0, 0.3, 0.6, 1.0):
        slate = engine.recommend(profile, NOW, diversity=diversity)
        rows = [engine.items.get(item.item_id) for item in slate]
        vectors = engine.catalog.vectors[rows]
        alike.append(((vectors @ vectors.T).sum() - 10) / 90)
        above = [max(vectors[:n] @ vectors[n], default=0.0) for n in range(10)]
        assert [item.similarity for item in slate] == pytest.approx(above, abs=2e-5)
        if diversity == 0.0:
            assert [item.relevance_rank for item in slate] == list(range(1, 11))
    assert alike[3] <= alike[2] + 0.02 <= alike[1] + 0.04 <= alike[0] + 0.06
    assert alike[3] < alike[0]


def test_a_repeated_event_changes_nothing_but_the_offset() -> None:
    engine = with_items(5)
    click = Click(user_id="u", item_id="i1", action="like", ts=NOW)
    first = engine.observe(Profile("u", 0), click, "same id", 3)
    again = engine.observe(first.profile, click, "same id", 9)
    assert again.repeat and again.delta is None and not engine.wants_slate(again, click, replayed=False)
    expected = first.profile.copy()
    expected.offset = 9
    assert again.profile == expected


def test_a_poisoned_event_leaves_the_profile() -> None:
    engine = with_items(5, vectors=True)
    profile = clicked(engine, Profile("u", 0), "i1").profile
    before = repr(profile)
    for event in (
        Click(user_id="u", item_id="i2", rating=9.0, ts=NOW),
        Review(user_id="u", item_id="i2", text="t", rating=-1.0, ts=NOW),
        Review(user_id="u", item_id="i2", text="t", model=MODEL, vector=b"\x00\x00" * 16, ts=NOW),
        Review(user_id="u", item_id="i2", text="t", model=MODEL, vector=b"odd", ts=NOW),
        Review(user_id="u", item_id="i2", text="t", model=MODEL, vector=b"\x00\x7e" * 16, ts=NOW),
    ):
        with pytest.raises(EventError):
            engine.observe(profile, event, "poison", 5)
        assert repr(profile) == before


def test_reviews_of_two_text_models_are_both_taken() -> None:
    engine = with_items(5, vectors=True)
    one = Review(user_id="u", item_id="i1", text="t", model=MODEL, vector=pack_vector(unit(1)), ts=NOW)
    other = Review(user_id="u", item_id="i2", text="t", model="other", vector=pack_vector(unit(2, 24)), ts=NOW)
    profile = engine.observe(Profile("u", 0), one, "1", 0).profile
    profile = engine.observe(profile, other, "2", 1).profile
    assert (profile.review_model, len(profile.review_vector)) == ("other", 48)
    assert len(engine.recommend(profile, NOW)) == 3, "the vector of a model that is not used says nothing"


def test_a_request_learns_nothing() -> None:
    engine = with_items(5)
    request = Request(user_id="u", ts=NOW)
    observed = engine.observe(Profile("u", 0), request, "r", 0)
    assert observed.delta is None and not observed.profile.items and observed.profile.events == 1
    assert engine.wants_slate(observed, request, replayed=False)


def test_what_an_act_consumes() -> None:
    for action, consumes in {"impression": False, "view": False, "cart": False, "click": True, "dislike": True}.items():
        profile = clicked(with_items(3), Profile("u", 0), "i1", action=action).profile
        assert ("i1" in profile.consumed) is consumes, action


def test_recent_items_of_a_delta() -> None:
    engine = Engine(Config(model={"history": 3}))
    profile = Profile("u", 0)
    for item in ("a", "b", "a", "c", "d", "a"):
        observed = clicked(engine, profile, item)
        profile = observed.profile
    assert observed.delta is not None
    assert observed.delta.recent == ["d", "c", "b"], "newest first, each once, and not the item itself"


@pytest.mark.parametrize(
    ("action", "rating", "expected"),
    [
        ("impression", None, (0.0, 0.0)),
        ("view", None, (0.3, 0.3)),
        ("dislike", None, (-1.0, 0.0)),
        ("dislike", 5.0, (-1.0, 0.0)),
        ("click", 1.0, (-1.0, 1.0)),
        ("click", 3.0, (0.0, 1.0)),
        ("impression", 5.0, (1.0, 1.0)),
        ("review", None, (0.6, 0.6)),
    ],
)
def test_feedback(action: str, rating: float | None, expected: tuple[float, float]) -> None:
    assert feedback_of(Config().feedback, action, rating) == expected


@pytest.mark.parametrize("rating", [0.99, 5.01, float("nan"), float("inf")])
def test_a_rating_outside_the_scale(rating: float) -> None:
    with pytest.raises(EventError, match=r"in \[1.0, 5.0\]") as refused:
        feedback_of(Config().feedback, "click", rating)
    assert refused.value.reason == "bad-rating"


@settings(max_examples=50, deadline=None)
@given(st.permutations(range(6)))
def test_keywords_do_not_depend_on_the_order_of_arrival(order: list[int]) -> None:
    engine = with_items(6)
    profile = Profile("u", 0)
    for n in order:
        profile = clicked(engine, profile, f"i{n}", ts=NOW + n * 40 * DAY_MS).profile
    at = [2.0 ** (-(5 - n) * 40 / 90) * 0.6 for n in range(6)]
    expected = {"c0": at[0] + at[5], "c1": at[1], "c2": at[2], "c3": at[3], "c4": at[4]}
    fade = faded(profile.keywords_ts, NOW + 5 * 40 * DAY_MS, 90 * DAY_MS)
    assert {word: fade * weight for word, weight in profile.keywords.items()} == pytest.approx(expected)


def test_the_model_counts_the_words_of_what_was_liked() -> None:
    engine = with_items(6)
    for n, action in enumerate(["like", "dislike", "view", "impression"]):
        observed = clicked(engine, Profile("u", 0), f"i{n}", action=action)
        if observed.delta is not None:
            assert observed.delta.words == packed_words(engine.catalog.words[engine.items.get(f"i{n}")])
            other = Engine(Config())  # it knows no item
            other.apply(ModelLogRecord(0, [observed.delta]), 0)
            assert all(other.model.words.share(word) > 0.0 for word in observed.profile.keywords)
        assert bool(observed.profile.keywords) == (action in ("like", "view"))
    review = Review(user_id="u", item_id="i1", text="-", rating=5.0, terms=["fine"] + [f"t{n}" for n in range(40)])
    delta = engine.observe(Profile("u", 0), review, "r", 9).delta
    assert delta is not None and word_hash("fine").to_bytes(4, "little") == delta.words[:4]
    assert len(decode_record(encode_record(ModelLogRecord(0, [delta]))).deltas[0].words) <= 4 * WORDS_PER_EVENT


def test_far_past_and_far_future() -> None:
    engine = with_items(20, vectors=True)
    profile = Profile("u", 0)
    for n, ts in enumerate((NOW, 0, 253_402_300_799_999, 1, NOW)):
        observed = clicked(engine, profile, f"i{n}", ts=ts)
        profile = observed.profile
        assert observed.delta is not None
        engine.apply(ModelLogRecord(0, [observed.delta]), n)
        slate = engine.recommend(profile, ts)
        assert len(set(ids(slate))) == 10 and all(0.0 <= item.relevance <= 1.0 for item in slate)
    assert np.isfinite(engine.model.popularity.values).all()


def test_slates_do_not_depend_on_the_numbers_of_categories() -> None:
    """Another replica may have met other names first."""
    slates = []
    for first in ([], ["C3", "gone", "C1"], ["C4", "C2", "C0"]):
        engine = Engine(Config())
        engine.put_item(Item(item_id="x", categories=first))
        engine.put_item(Item(item_id="x", available=False))
        for n in range(60):
            engine.put_item(Item(item_id=f"i{n}", categories=[f"C{n % 5}", f"c{n % 3}"], ts=n))
            engine.put_vector(ItemVector(item_id=f"i{n}", model=MODEL, vector=pack_vector(unit(n))))
        profile = Profile("u", 0)
        for n in (1, 6, 11, 2):
            profile = clicked(engine, profile, f"i{n}", action="like").profile
        slates.append([engine.recommend(profile, NOW, diversity=d) for d in (0.2, 0.6, 1.0)])
    assert slates[0] == slates[1] == slates[2]


def test_a_slate_follows_the_categories_of_what_was_liked() -> None:
    """Without vectors: categories alone vary the list, and more of it are those that the user likes."""
    engine = with_items(100)
    profile = Profile("u", 0)
    for n in (2, 7, 12, 17):
        profile = clicked(engine, profile, f"i{n}", action="like").profile
    slate = engine.recommend(profile, NOW, diversity=0.8)
    liked = [item for item in ids(slate) if int(item[1:]) % 5 == 2]
    assert len(liked) > 4 and len({int(item[1:]) % 5 for item in ids(slate)}) > 1


@pytest.mark.parametrize("told", [{}, {"vectors": True}, {"words": False}, {"vectors": True, "words": False}])
def test_a_slate_is_full_whatever_is_known_of_the_items(told: dict[str, bool]) -> None:
    engine = with_items(100, **told)
    for n in range(100, 130):
        engine.put_item(Item(item_id=f"i{n}", ts=NOW))  # nothing is known of these
    profile = clicked(engine, Profile("u", 0), "i3", action="like").profile
    for diversity in (0.2, 1.0):
        assert len(set(ids(engine.recommend(profile, NOW, diversity=diversity)))) == 10


def test_what_an_item_was_preferred_to() -> None:
    engine = with_items(60, vectors=True)
    profile = clicked(engine, Profile("u", 0), "i1", action="like").profile
    plain = ids(engine.recommend(profile, NOW, diversity=0.0))
    slate = engine.recommend(profile, NOW, diversity=1.0)
    told = [item.preferred_to for item in slate if item.preferred_to is not None]
    assert told and told == [item for item in plain if item not in ids(slate)]
    assert all((item.preferred_to is None) == (item.relevance_rank <= 10) for item in slate)


def seen(engine: Engine, profile: Profile, items: list[str]) -> Profile:
    for item in items:
        profile = clicked(engine, profile, item, action="impression").profile
    return profile


def test_the_next_list_is_not_the_last_one_again() -> None:
    engine = with_items(60, vectors=True)
    profile = clicked(engine, Profile("u", 0), "i1", action="like").profile
    first = engine.recommend(profile, NOW)
    after = seen(engine, profile, ids(first))
    second = engine.recommend(after, NOW)
    assert len(set(ids(first)) & set(ids(second))) < 10
    assert {item.item_id for item in second if item.impressions} == set(ids(first)) & set(ids(second))
    third = engine.recommend(seen(engine, after, ids(second)), NOW)
    assert ids(third) not in (ids(first), ids(second))
    plain = [engine.recommend(one, NOW, diversity=0.0) for one in (profile, after)]
    assert plain[0] == plain[1], "at 0 it is relevance alone"


def test_an_answer_to_an_impression_ends_it() -> None:
    engine = with_items(40)
    profile = seen(engine, Profile("u", 0), ["i1", "i2", "i1", "i3"])
    assert profile.shown == ["i1", "i2", "i1", "i3"] and not profile.items
    assert clicked(engine, profile, "i1", action="view").profile.shown == ["i2", "i3"]
    assert clicked(engine, profile, "i3", action="skip").profile.shown == ["i1", "i2", "i1"]
    assert profile.shown == ["i1", "i2", "i1", "i3"]
    many = seen(engine, profile, [f"i{n}" for n in range(40)])
    assert many.shown == [f"i{n}" for n in range(10, 40)]
