"""The rating model: formulas against plain numpy, replicas, bounds, and what one pass over a log predicts."""

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from divrec.cf.ratings.arrays import RatingArrays, first_factors
from divrec.cf.ratings.blend import FEATURES, WALK, first_uncertainty, first_weights, learn_blend
from divrec.cf.ratings.experts import EXPERTS, solve
from divrec.cf.ratings.history import RatedHistory
from divrec.cf.ratings.learning import ALL, SAMPLE
from divrec.cf.ratings.model import GLOBAL, Rating, RatingModel
from divrec.cf.ratings.predictor import RatingPredictor
from divrec.data.log import demo_log
from divrec.errors import EventError
from divrec.events import Click
from divrec.items import ItemIndex, fingerprint

RATINGS = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from("pqrstu"), st.sampled_from([1.0, 2.0, 3.5, 5.0])), max_size=60
)


def learned(ratings: list[tuple[str, str, float]], **bounds: int) -> RatingPredictor:
    predictor = RatingPredictor(**bounds)
    for user, item, rating in ratings:
        predictor.learn_one(user, item, rating)
    return predictor


def taste(user: int, item: int) -> float:
    """Two groups of users who like what the others do not."""
    return 5.0 if (user + item) % 2 else 1.0


def test_history_is_newest_first_and_bounded() -> None:
    history = RatedHistory()
    for item, rating in [("a", 1.0), ("b", 2.0), ("a", 3.0), ("c", 4.0), ("d", 5.0)]:
        history.add(item, rating, 3)
    assert history == RatedHistory(["d", "c", "a"], [5.0, 4.0, 3.0])


@pytest.mark.parametrize("n", [1, 2, 7])
def test_solve(n: int) -> None:
    rng = np.random.default_rng(n)
    half = rng.normal(size=(n, n))
    matrix, vector = half @ half.T + np.eye(n), rng.normal(size=n)
    found = vector.copy()
    solve(matrix.copy(), found)
    assert found == pytest.approx(np.linalg.solve(matrix, vector))


def test_first_factors_depend_on_the_id_alone() -> None:
    many = np.concatenate([first_factors(str(n), 16) for n in range(500)])
    assert many.std() == pytest.approx(0.1, rel=0.05)
    assert abs(many.mean()) < 0.01
    assert np.array_equal(first_factors("x", 16), first_factors("x", 16))


def test_the_blend_is_ridge_regression() -> None:
    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=(300, FEATURES)), rng.normal(size=300)
    y = x @ rng.normal(size=FEATURES) + noise
    weights, uncertainty = first_weights(), first_uncertainty()
    for row, target in zip(x, y, strict=True):
        learn_blend(weights, uncertainty, row, target, 1.0)
    prior = np.linalg.inv(first_uncertainty())
    exact = np.linalg.solve(x.T @ x + prior, x.T @ y + prior @ first_weights())
    assert np.abs(weights - exact).max() < 1e-2  # the walk of the weights is all that differs
    assert np.array_equal(uncertainty, uncertainty.T)
    assert WALK < 1e-5


def test_the_blend_stays_certain_and_finite_however_long_it_learns() -> None:
    rng = np.random.default_rng(1)
    weights, uncertainty = first_weights(), first_uncertainty()
    for _ in range(50_000):
        x = np.zeros(FEATURES)
        x[:3] = rng.normal(size=3)  # the other directions are never told anything
        learn_blend(weights, uncertainty, x, float(x[0]), 1.0)
    assert np.isfinite(weights).all()
    assert weights[0] == pytest.approx(1.0, abs=0.01)
    assert np.linalg.eigvalsh(uncertainty).min() > -1e-9
    assert np.diag(uncertainty).max() <= np.diag(first_uncertainty()).max()


def test_plain_cosines_are_those_of_the_study() -> None:
    """While no bound bites: both formulas over all ratings, and the mean where nobody can be asked."""
    rng = random.Random(2)
    pairs = [(f"u{u}", f"i{i}") for u in range(6) for i in range(8)]
    rng.shuffle(pairs)
    ratings = {pair: float(rng.randint(1, 5)) for pair in pairs[:30]}
    predictor = learned([(user, item, rating) for (user, item), rating in ratings.items()])
    for user, item in pairs[30:]:
        said = predictor.experts(user, item)
        mine = {i: r for (u, i), r in ratings.items() if u == user}

        def norm(of: str) -> float:
            return math.sqrt(sum(r * r for (_, i), r in ratings.items() if i == of))

        above = below = 0.0
        for other, rating in mine.items():
            dot = sum(r * ratings[u, item] for (u, i), r in ratings.items() if i == other and (u, item) in ratings)
            if dot:
                similarity = dot / (norm(other) * norm(item))
                above, below = above + similarity * rating, below + similarity
        mean = sum(ratings.values()) / len(ratings)
        assert said["item_cosine_plain"] == pytest.approx(above / below if below else mean, rel=1e-5)
        above = below = 0.0
        for (u, i), rating in ratings.items():
            if i == item:
                both = [(mine[j], r) for (v, j), r in ratings.items() if v == u and j in mine]
                if both:
                    dot = sum(a * b for a, b in both)
                    similarity = dot / math.sqrt(sum(a * a for a, _ in both) * sum(b * b for _, b in both))
                    above, below = above + similarity * rating, below + similarity
        assert said["user_cosine_plain"] == pytest.approx(above / below if below else mean, rel=1e-5)


def test_neighbours_find_groups_of_taste() -> None:
    """Every user and every item has the same mean: only who agrees with whom tells ratings apart."""
    rng = random.Random(3)
    pairs = [(u, i) for u in range(40) for i in range(40)]
    rng.shuffle(pairs)
    predictor = learned([(str(u), str(i), taste(u, i)) for u, i in pairs[:1200]])
    errors: dict[str, list[float]] = {name: [] for name in ("blend", *EXPERTS)}
    for u, i in pairs[1200:]:
        for name, rating in predictor.experts(str(u), str(i)).items():
            errors[name].append(abs(rating - taste(u, i)))
    error = {name: sum(all_of) / len(all_of) for name, all_of in errors.items()}
    assert error["blend"] < 0.25
    for name in ("factors", "item_cosine", "user_cosine"):
        assert error[name] < 0.8, name
    for name in ("mood", "item_mean", "user_mean"):
        assert error[name] > 1.5, name


def test_explain_names_the_neighbours_that_speak() -> None:
    predictor = learned([(str(u), str(i), taste(u, i)) for u in range(30) for i in range(12) if (u * i) % 7])
    predictor.learn_one("new", "1", 5.0)
    predictor.learn_one("new", "2", 1.0)
    told = predictor.explain("new", "3")
    assert told.rating == predictor.predict_one("new", "3")
    assert set(told.experts) == set(EXPERTS)
    assert [n.item_id for n in told.neighbours] == ["1"]  # the opposite taste is no neighbour
    assert told.neighbours[0].rating == 5.0
    assert 0 < told.neighbours[0].similarity <= 1
    assert told.bias + told.neighbours[0].moves == pytest.approx(told.experts["item_cosine"], abs=1e-6)


def test_nothing_known() -> None:
    predictor = RatingPredictor()
    assert predictor.predict_one("u", "i") == 3.0
    assert RatingPredictor(0.0, 10.0).predict_one("u", "i") == 5.0
    assert RatingPredictor(None, None).predict_one("u", "i") == 0.0
    assert predictor.explain("u", "i").neighbours == []
    predictor.learn_one("v", "j", 4.0)
    assert predictor.predict_one("u", "i") == pytest.approx(4.0)
    assert predictor.predict_many("v", []) == []


@settings(deadline=None)
@given(RATINGS)
def test_predicting_changes_nothing_and_stays_in_the_scale(ratings: list[tuple[str, str, float]]) -> None:
    predictor = learned(ratings)
    before = [array.copy() for array in predictor.model.arrays]
    for user in "abcz":
        for rating in predictor.predict_many(user, list("pquz")):
            assert 1.0 <= rating <= 5.0
    assert all(np.array_equal(a, b) for a, b in zip(before, predictor.model.arrays, strict=True))
    assert "z" not in predictor.users


@settings(deadline=None)
@given(RATINGS, st.integers(0, 60))
def test_replicas_agree_whatever_their_indices(ratings: list[tuple[str, str, float]], cut: int) -> None:
    """Other index values, other batches, and a restored snapshot in between: the same to the bit."""
    deltas, users = [], {}
    for user, item, rating in ratings:
        rated = users.setdefault(user, RatedHistory())
        deltas.append(Rating(fingerprint(user), item, rating, tuple(rated.items), tuple(rated.ratings)))
        rated.add(item, rating, 5)

    def small(*taken: str) -> RatingModel:
        items = ItemIndex(2)
        for item in taken:
            items.add(item)
        return RatingModel(items, max_items=4, neighbours=2, raters=2, factors=3)

    one, other = small(), small("u", "other", "p")
    for delta in deltas:
        one.learn_all([delta])
    for delta in deltas[:cut]:
        other.learn_all([delta])
    snapshot = other.state()
    other = small("q", "u")
    other.restore(*snapshot)
    for delta in deltas[cut:]:
        other.learn_all([delta])
    (ids, arrays), (other_ids, other_arrays) = one.state(), other.state()
    assert ids == other_ids
    assert len(ids) <= 4
    for name, array in arrays.items():
        assert np.array_equal(array, other_arrays[name]), name


def test_a_list_is_learned_like_its_ratings_one_by_one() -> None:
    rng = random.Random(4)
    deltas = [
        Rating(rng.randrange(9), f"i{rng.randrange(20)}", float(rng.randint(1, 5)), ("i1", "i2"), (4.0, 2.0))
        for _ in range(200)
    ]
    one, other = RatingModel(ItemIndex()), RatingModel(ItemIndex())
    for delta in deltas:
        one.learn_all([delta])
    other.learn_all(deltas[:3])
    other.learn_all(deltas[3:])
    for name in RatingArrays._fields:
        mine, theirs = getattr(one.arrays, name), getattr(other.arrays, name)
        assert np.array_equal(mine, theirs), name


def test_of_many_ratings_a_sample_teaches_the_blend() -> None:
    model = RatingModel(ItemIndex())
    model.learn_all([Rating(n, f"i{n % 3}", float(1 + n % 5), ("i1",), (4.0,)) for n in range(300)])
    model.arrays.totals[0] = ALL  # as if there had been so many
    moved = []
    for n in range(8):
        before = model.arrays.weights.copy()
        model.learn_all([Rating(n, f"i{n % 3}", 5.0, ("i1",), (4.0,))])
        moved.append(not np.array_equal(before, model.arrays.weights))
    assert moved == [n % SAMPLE == 0 for n in range(8)]


def test_state_is_bounded() -> None:
    predictor = RatingPredictor(max_items=50, max_users=20, history=10)
    rng = random.Random(5)
    for n in range(3_000):
        predictor.learn_one(str(rng.randrange(200)), str(rng.randrange(20 + n)), float(rng.randint(1, 5)))
    assert len(predictor.model) <= 50
    assert len(predictor.model.items) <= 50
    assert len(predictor.users) <= 20
    assert max(map(len, predictor.users.values())) <= 10
    ids, arrays = predictor.model.state()
    assert arrays["neighbours"].max() < len(ids)  # no neighbour outlives its eviction
    assert predictor.model.nbytes < 1_025 * predictor.model.bytes_per_item + 20_000  # 1,024 rows are the least
    for name, array in predictor.model.arrays._asdict().items():
        assert np.isfinite(array).all(), name
        if name not in GLOBAL:
            assert not array[-1].any() or name == "neighbours", f"{name}: the blank row is not blank"


@pytest.mark.parametrize("rating", [0.0, 5.5, float("nan")])
def test_ratings_outside_the_scale_are_refused(rating: float) -> None:
    with pytest.raises(EventError, match=r"expected a number in \[1.0, 5.0\]"):
        RatingPredictor().learn_one("u", "i", rating)
    with pytest.raises(EventError, match="finite"):
        RatingPredictor(None, None).learn_one("u", "i", float("inf"))


@pytest.mark.parametrize(("low", "high"), [(1.0, None), (5.0, 1.0), (2.0, 2.0)])
def test_scales_are_checked(low: float, high: float | None) -> None:
    with pytest.raises(ValueError, match="low < high"):
        RatingPredictor(low, high)


def test_any_scale_is_predicted_alike() -> None:
    rng = random.Random(6)
    stars, hundred = RatingPredictor(), RatingPredictor(0.0, 100.0)
    for _ in range(500):
        user, item, rating = str(rng.randrange(20)), str(rng.randrange(20)), rng.randint(1, 5)
        assert hundred.predict_one(user, item) == pytest.approx(25.0 * (stars.predict_one(user, item) - 1.0), abs=1e-4)
        stars.learn_one(user, item, float(rating))
        hundred.learn_one(user, item, 25.0 * (rating - 1))


def test_the_bundled_log() -> None:
    """RMSE of one pass over the first 15,000 ratings: above it something broke."""
    predictor = RatingPredictor(0.5, 5.0)
    squares: dict[str, float] = dict.fromkeys(("blend", *EXPERTS), 0.0)
    mean = total = deviation = 0.0
    with demo_log() as log:
        events = [e for e in log.events() if isinstance(e, Click) and e.rating is not None][:15_000]
    for n, event in enumerate(events):
        assert event.rating is not None
        for name, rating in predictor.experts(event.user_id, event.item_id).items():
            squares[name] += (rating - event.rating) ** 2
        deviation += (mean - event.rating) ** 2
        predictor.learn_one(event.user_id, event.item_id, event.rating)
        total += event.rating
        mean = total / (n + 1)
    rmse = {name: math.sqrt(square / len(events)) for name, square in squares.items()}
    assert rmse["blend"] == min(rmse.values())
    assert rmse["blend"] < 0.9 * math.sqrt(deviation / len(events))
