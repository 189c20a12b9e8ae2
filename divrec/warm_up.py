"""Compile every kernel before the first event: a worker that compiles while it holds partitions stops for seconds."""

import numpy as np

from divrec.config import Config
from divrec.deltas import ModelLogRecord
from divrec.engine import RATED_FIRST, Engine
from divrec.events import Click, Item, ItemVector, Review, pack_vector
from divrec.profile import Profile

DIMENSIONS = 64


def warm_up(config: Config) -> None:
    """Run an engine with a few items through all its steps."""
    engine = Engine(config)
    random = np.random.default_rng(0)
    for n in range(20):
        engine.put_item(Item(item_id=str(n), title="item", categories=["any"], ts=1))
        vector = random.normal(size=DIMENSIONS).astype(np.float32)
        engine.put_vector(ItemVector(item_id=str(n), model=config.encoder.model, vector=pack_vector(vector)))
    for user in range(2):  # the second turns to items that are known: that is a lesson for the blend
        profile = Profile(str(user), 0)
        for n in range(5 * user, 5 * user + 5):
            click = Click(user_id=profile.user_id, item_id=str(n % 5), action="like", ts=n + 1)
            profile, delta, *_ = engine.observe(profile, click, str(n), n)
            if delta is not None:
                engine.apply(ModelLogRecord(0, [delta]), n)
            engine.recommend(profile, n + 1)
    rating = config.feedback.rating_max
    for n in range(RATED_FIRST + 1):  # the rating of the last is predicted
        review = Review(user_id="2", item_id="0", text="a b", rating=rating if n < RATED_FIRST else None, ts=n + 1)
        review.model, review.vector = config.encoder.model, pack_vector(np.eye(DIMENSIONS, dtype=np.float32)[0])
        observed = engine.observe(Profile("2", 0), review, str(n), n)
        if observed.delta is not None:
            engine.apply(ModelLogRecord(1, [observed.delta]), n)
