"""divrec itself, by the very engine that the streams run."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from divrec.config import Config
from divrec.deltas import ModelLogRecord
from divrec.engine import Ask, Engine
from divrec.evaluate.content import Content
from divrec.evaluate.ranker import Interaction, Learner
from divrec.evaluate.stream import ACTIONS, Stream
from divrec.events import Click, ItemVector, Review
from divrec.profile import Profile
from divrec.retrieve.signals import SIGNALS
from divrec.state.profile_file import ProfileFile
from divrec.warm_up import warm_up


class EngineLearner:
    """An engine and the profiles of all users: observe, model log, apply, one event at a time.

    Profiles beyond ``worker.cached_profiles`` lie in a temporary file.

    An item enters the catalogue with its first event, so that what is not seen yet is never recommended.
    """

    def __init__(self, config: Config, stream: Stream, content: Content) -> None:
        self.engine = Engine(evaluated(config, stream))
        self.numbers = {item_id: number for number, item_id in enumerate(stream.items)}
        self._stream, self._content = stream, content
        self._directory = TemporaryDirectory(prefix="divrec-evaluate-")
        self._profiles = ProfileFile(Path(self._directory.name) / "profiles.sqlite", config.worker.cached_profiles)
        self._listed = 0
        warm_up(config)

    def profile(self, user: int) -> Profile:
        return self._profiles.get(self._stream.users[user], 0)

    def learn(self, event: Interaction) -> None:
        user_id, item_id = self._stream.users[event.user], self._stream.items[event.item]
        if event.item == self._listed:
            self._listed += 1
            self._list(item_id)
        told: Click | Review
        if event.action == "review":
            told = Review(user_id=user_id, item_id=item_id, text="", rating=event.rating, ts=event.ts)
        else:
            told = Click(user_id=user_id, item_id=item_id, action=event.action, rating=event.rating, ts=event.ts)  # type: ignore[arg-type]
        observed = self.engine.observe(self.profile(event.user), told, str(event.at), event.at)
        self._profiles.put(observed.profile)
        if observed.delta is not None:
            self.engine.apply(ModelLogRecord(0, [observed.delta]), event.at)

    def _list(self, item_id: str) -> None:
        content = self._content
        if (item := content.items.get(item_id)) is not None:
            self.engine.put_item(item)
        if (vector := content.vectors.get(item_id)) is not None:
            self.engine.put_vector(ItemVector(item_id=item_id, model=content.model, vector=vector))


class EngineRanker:
    """The engine's slates with ``diversity``; None: as they are published, with what is configured."""

    def __init__(self, learner: EngineLearner, diversity: float | None) -> None:
        self._learner, self._diversity = learner, diversity

    @property
    def learner(self) -> Learner:
        return self._learner

    def rank(self, user: int, now: int, k: int) -> list[int]:
        learner, numbers = self._learner, self._learner.numbers
        engine = learner.engine
        ask = Ask(learner.profile(user), now, k, self._diversity, explore=self._diversity is None)
        if ask.explore:  # what is shown is drawn
            (slate,) = engine.recommend_all([ask])
            return [numbers[item.item_id] for item in slate]
        slates = engine.make(engine.pack([ask]), explained=False)
        return [numbers[engine.items.id(row)] for row in slates.rows[0, : slates.sizes[0]].tolist()]


class SignalRanker:
    """One signal of the engine alone: only what it has something to say for is recommended."""

    def __init__(self, learner: EngineLearner, signal: int) -> None:
        self._learner = learner
        self._weights = np.zeros(len(SIGNALS), np.float32)
        self._weights[signal] = 1.0

    @property
    def learner(self) -> Learner:
        return self._learner

    def rank(self, user: int, now: int, k: int) -> list[int]:
        engine, numbers = self._learner.engine, self._learner.numbers
        asks = engine.pack([Ask(self._learner.profile(user), now, k, 0.0)])
        slates = engine.make(asks, self._weights, explained=False)
        rows = slates.rows[0, : slates.sizes[0]][slates.relevance[0, : slates.sizes[0]] > 0]
        return [numbers[engine.items.id(row)] for row in rows.tolist()]


def evaluated(config: Config, stream: Stream) -> Config:
    """``config`` with the log's scale of ratings, and with whatever a user had hidden from slates, or, with repeats,
    with nothing hidden."""
    low, high = stream.scale
    slate = {"consumed_actions": ACTIONS, "allow_repeats": stream.repeats}
    return config.model_copy(
        update={
            "feedback": config.feedback.model_copy(update={"rating_min": low, "rating_max": high}),
            "slate": config.slate.model_copy(update=slate),
        }
    )
