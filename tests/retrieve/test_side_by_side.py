"""Slates and lessons do not depend on how many threads make them."""

import numpy as np
import pytest

from divrec.config import Config
from divrec.deltas import ModelLogRecord
from divrec.engine import Ask, Engine
from divrec.events import Click
from divrec.profile import Profile
from divrec.retrieve.side_by_side import PART


def taught(threads: int) -> tuple[Engine, list[Profile], list[bytes]]:
    """An engine after clicks in batches, the profiles, and the lessons of all clicks."""
    engine = Engine(Config(worker={"threads": threads}))
    random, profiles, lessons = np.random.default_rng(0), [Profile(f"u{n}", 0) for n in range(90)], list[bytes]()
    for batch in range(5):
        choices = []
        for n, before in enumerate(profiles):
            item = f"i{int(random.integers(60) * random.random())}"
            click = Click(user_id=before.user_id, item_id=item, action="like", ts=1_000 + batch)
            observed = engine.observe(before, click, f"{batch} {n}", 100 * batch + n, teach=False)
            profiles[n] = observed.profile
            if observed.delta is not None:
                choices.append((before, observed.delta))
        deltas = engine.teach(choices)
        lessons += [delta.lesson for delta in deltas]
        engine.apply(ModelLogRecord(0, deltas), batch)
    return engine, profiles, lessons


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_nothing(threads: int) -> None:
    one, profiles, lessons = taught(1)
    several, _, found = taught(threads)
    assert found == lessons and sum(map(bool, lessons)) > 100
    assert several.model.state().digest() == one.model.state().digest()
    for count in (1, PART, 2 * PART, 3 * PART + 5, len(profiles)):
        asks = [Ask(profile, 2_000) for profile in profiles[:count]]
        assert several.recommend_all(asks) == one.recommend_all(asks)


def test_what_raises_in_any_thread_is_raised() -> None:
    side_by_side = Engine(Config(worker={"threads": 2})).side_by_side
    for failing in (0, PART):

        def work(_: object, begin: int, end: int, failing: int = failing) -> None:
            if begin <= failing < end:
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            side_by_side.run(work, 2 * PART)
