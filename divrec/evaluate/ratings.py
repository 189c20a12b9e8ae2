"""divrec's rating prediction beside a ranker: likes, dislikes and the error of ratings."""

from divrec.cf.ratings.predictor import RatingPredictor
from divrec.evaluate.ranker import Interaction, Learner, Ranker
from divrec.evaluate.stream import Ids, Stream


class RatingRanker:
    """``ranker``, with ratings by a ``RatingPredictor`` that learns for itself."""

    def __init__(self, ranker: Ranker, stream: Stream) -> None:
        self._ranker, self._stream = ranker, stream
        self._predictor = RatingPredictor(*stream.scale)
        tried = RatingPredictor()  # compiles before it is measured
        tried.learn_one("user", "item", 4.0)
        tried.predict_one("user", "item")

    @property
    def learner(self) -> Learner:
        return self._ranker.learner

    def rank(self, user: int, now: int, k: int) -> list[int] | Ids:
        return self._ranker.rank(user, now, k)

    def rate(self, user: int, item: int) -> float:
        return self._predictor.predict_one(self._stream.users[user], self._stream.items[item])

    def learn_rating(self, event: Interaction) -> None:
        assert event.rating is not None
        self._predictor.learn_one(self._stream.users[event.user], self._stream.items[event.item], event.rating)
