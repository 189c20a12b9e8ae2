"""Reviews in the model: rated ones teach it what the others mean, the same on every replica."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from divrec.config import Config
from divrec.deltas import Delta, ModelLogRecord, RatedReview, decode_record, encode_record
from divrec.engine import LIKED, RATED_FIRST, Engine, Observed
from divrec.errors import DeltaError, EventError
from divrec.events import MAX_MESSAGE_BYTES, Review, pack_vector
from divrec.profile import Profile
from divrec.state.snapshot import latest_snapshot, write_snapshot
from divrec.text.review_head import ReviewSample

WORDS = {True: ["great", "a joy", "works well", "非常好"], False: ["broken", "a waste", "do not buy", "太差了"]}


def review(good: bool, n: int, *, rated: bool = True, dimensions: int = 8) -> Review:
    random = np.random.default_rng(n)
    vector = random.normal(size=dimensions) + (1.0 if good else -1.0) * np.eye(dimensions)[0]
    return Review(
        user_id=f"u{n % 5}",
        item_id=f"i{n % 9}",
        text=f"{random.choice(WORDS[good])} {n % 13}",
        rating=(5.0 if good else 1.0) if rated else None,
        model="m",
        vector=pack_vector((vector / np.linalg.norm(vector)).astype(np.float32)),
        ts=n,
    )


def taught(count: int, config: Config | None = None) -> Engine:
    engine = Engine(config or Config())
    for n in range(count):
        take(engine, review(n % 3 > 0, n), n)
    return engine


def take(engine: Engine, event: Review, n: int, profile: Profile | None = None) -> Observed:
    observed = engine.observe(profile or Profile(event.user_id, 0), event, f"e{n}", n)
    if observed.delta is not None:
        engine.apply(decode_record(encode_record(ModelLogRecord(0, [observed.delta]))), n)
    return observed


def test_a_review_without_a_rating_counts_as_it_reads() -> None:
    engine = taught(120)
    for n, good in ((200, True), (201, False)):
        observed = engine.observe(Profile("u", 0), review(good, n, rated=False), "e", n)
        delta, (feedback,) = observed.delta, observed.profile.feedback
        assert delta is not None and delta.review is None
        assert (feedback > 0.0) == good and delta.liked == (feedback >= LIKED)
        assert 0.3 < delta.weight < 1.0, "less than a rating that was told"
    disliked = engine.observe(observed.profile, review(True, 202), "later", 202).delta
    assert disliked is not None and disliked.unliked == b"\1"


def test_before_enough_was_learned_it_counts_as_configured() -> None:
    for config, expected in ((Config(), 0.6), (Config(feedback={"review": 0.2}), 0.2)):
        observed = taught(RATED_FIRST - 1, config).observe(Profile("u", 0), review(False, 99, rated=False), "e", 99)
        assert observed.profile.feedback == [expected] and observed.delta is not None
        assert observed.delta.weight == expected and observed.delta.liked


def test_where_reviews_push_away_they_teach_nothing() -> None:
    engine = taught(60, Config(feedback={"review": -0.5}))
    assert engine.model.reviews is None and engine.model.interactions == 0


def test_without_reviews_nothing_is_held() -> None:
    engine = taught(0)
    size = engine.sizes()["model_bytes"]
    assert not [name for name in engine.model.state().arrays if name.startswith("review")]
    take(engine, review(True, 0), 0)
    grown = engine.sizes()
    assert grown["model_bytes"] > size + 5_000_000
    assert (grown["model_text_models"], grown["model_text_models_bound"]) == (1, 2)


def deltas_of(choices: list[tuple[bool, bool]]) -> list[Delta]:
    """What one worker made of reviews, good or not and rated or not."""
    engine, found = taught(0), []
    profile = Profile("u", 0)
    for n, (good, rated) in enumerate(choices):
        observed = take(engine, review(good, n, rated=rated), n, profile)
        profile = observed.profile
        assert observed.delta is not None
        found.append(observed.delta)
    return found


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60), st.integers(1, 60))
def test_replicas_are_equal_to_the_bit(choices: list[tuple[bool, bool]], size: int) -> None:
    found = deltas_of(choices)
    one, other = taught(0), taught(0)
    one.apply(ModelLogRecord(0, found), 0)
    for at in range(0, len(found), size):
        other.apply(decode_record(encode_record(ModelLogRecord(0, found[at : at + size]))), at)
    assert one.model.state().digest() == other.model.state().digest()


def test_a_snapshot_brings_what_reviews_taught(tmp_path: Path) -> None:
    engine, restored = taught(100), Engine(Config())
    write_snapshot(tmp_path, engine.model.state(), keep=1)
    state = latest_snapshot(tmp_path)
    assert state is not None
    restored.model.restore(state)
    for n in range(100, 130):
        for one in (engine, restored):
            take(one, review(n % 2 > 0, n, rated=n % 4 > 1), n)
    assert engine.model.state().digest() == restored.model.state().digest()
    assert engine.sizes()["model_bytes"] == restored.sizes()["model_bytes"]


vectors = st.one_of(st.none(), st.binary(max_size=64), st.just(pack_vector(np.eye(8, dtype=np.float32)[1])))


@pytest.mark.filterwarnings("ignore:invalid value")
@settings(max_examples=150, deadline=None)
@given(
    st.text(max_size=200),
    st.one_of(st.none(), st.floats(1, 5), st.floats()),
    st.one_of(st.none(), st.just("m"), st.text(max_size=400)),
    vectors,
)
def test_no_review_stops_anything(text: str, rating: float | None, model: str | None, vector: bytes | None) -> None:
    event = Review(user_id="u", item_id="i", text=text, rating=rating, model=model, vector=vector)
    for count in (0, 30):
        try:
            observed = ENGINES[count].observe(Profile("u", 0), event, "e", 1_000)
        except EventError as error:
            assert error.reason in ("bad-vector", "bad-rating")
            continue
        assert observed.delta is not None
        taught_further = Engine(Config())
        taught_further.apply(decode_record(encode_record(ModelLogRecord(0, [observed.delta]))), 0)
        assert taught_further.model.interactions == 1


ENGINES = {0: taught(0), 30: taught(30)}


def test_a_delta_stays_small() -> None:
    text = " ".join(f"{n:x}" for n in range(MAX_MESSAGE_BYTES // 6))
    longest = Review(user_id="u", item_id="i", text=text, rating=3.0, model="m" * 256, vector=b"\0\x3c" * 4_096)
    delta = Engine(Config()).observe(Profile("u", 0), longest, "e", 0).delta
    assert delta is not None and len(encode_record(ModelLogRecord(0, [delta]))) < 13_000


@pytest.mark.parametrize(
    "bad",
    [
        RatedReview(ReviewSample(b"odd"), 0.0),
        RatedReview(ReviewSample(bytes(4_100)), 0.0),
        RatedReview(ReviewSample(b""), 1.5),
        RatedReview(ReviewSample(b""), float("nan")),
        RatedReview(ReviewSample(b"", -2), 0.0),
        RatedReview(ReviewSample(b"", 0, "m" * 257), 0.0),
    ],
)
def test_what_a_rated_review_must_not_be(bad: RatedReview) -> None:
    with pytest.raises(DeltaError):
        decode_record(encode_record(ModelLogRecord(0, [Delta(1, "i", 1.0, 0, [], review=bad)])))
