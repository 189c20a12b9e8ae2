"""The strength of diversity follows what varied slates cost, within its bounds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from divrec.config import Config, SlateConfig
from divrec.deltas import ModelLogRecord
from divrec.engine import Ask, Engine
from divrec.events import Click, Item
from divrec.profile import Profile
from divrec.rank.strength import EXPECTED, PROBE, Strengths, pack_verdict
from divrec.rank.weights import CONTEXTS

START = 1_000_000_000_000
SHELVES = 12


def test_nothing_known_is_what_is_configured() -> None:
    assert Strengths().effective(0.2, 0.1, 0.4) == [0.2] * CONTEXTS


def test_it_rises_where_variety_costs_nothing_and_falls_where_it_costs() -> None:
    strengths = Strengths()
    strengths.learn([pack_verdict(0, 1, 1), pack_verdict(2, 1, 0)] * 500)
    free, unknown, dear = strengths.effective(0.2, 0.05, 0.4)[:3]
    assert free > 0.2 and dear < unknown < 0.2 and dear < 0.14
    assert dear == pytest.approx(0.2 * (EXPECTED / (500 / 600)) ** (1 / 3), rel=0.1)


@given(st.lists(st.binary(min_size=0, max_size=6), max_size=50), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_it_stays_within_its_bounds(verdicts: list[bytes], one: float, two: float, three: float) -> None:
    strengths = Strengths()
    strengths.learn(verdicts)
    floor, configured, ceiling = sorted((one, two, three))
    assert all(
        floor - 5e-4 <= strength <= ceiling + 5e-4 for strength in strengths.effective(configured, floor, ceiling)
    )
    assert strengths.effective(configured, configured, configured) == [configured] * CONTEXTS


def test_verdicts_of_another_version_are_passed_over() -> None:
    strengths = Strengths()
    strengths.learn([b"\1\1", bytes([CONTEXTS, 1, 1]), bytes([0, 201, 1]), b"\0\1\1\1"])
    assert not strengths.sums.any()
    assert pack_verdict(3, 0, 0) == b""


def test_bounds_that_do_not_hold_the_setting_are_refused() -> None:
    assert SlateConfig().diversity_range == (0.1, 0.4)
    assert SlateConfig(diversity=0.8).diversity_range == (0.4, 1.0)
    assert SlateConfig(diversity_floor=0.2, diversity_ceiling=0.2).diversity_range == (0.2, 0.2)
    with pytest.raises(ValidationError, match="between diversity_floor and diversity_ceiling"):
        SlateConfig(diversity_floor=0.3)


def crowd(config: Config, events: int, *, loyal: bool) -> tuple[Engine, dict[str, Profile], list[bytes]]:
    """Users who turn to the next of a shelf, or (not ``loyal``) to the next item of any shelf; and the verdicts."""
    engine, profiles, verdicts = Engine(config), dict[str, Profile](), []
    random = np.random.default_rng(0)
    for n in range(40 * SHELVES):
        engine.put_item(Item(item_id=f"i{n}", categories=[f"shelf {n % SHELVES}"]))
    for at in range(events):
        user = f"u{random.integers(events // 25)}"
        profile = profiles.get(user) or Profile(user, 0)
        step = SHELVES if loyal else 1
        last = int(profile.items[-1][1:]) if profile.items else int(random.integers(SHELVES))
        click = Click(user_id=user, item_id=f"i{(last + step) % (40 * SHELVES)}", action="like", ts=START + at)
        observed = engine.observe(profile, click, str(at), at)
        profiles[user] = observed.profile
        if observed.delta is not None:
            engine.apply(ModelLogRecord(0, [observed.delta]), at)
            verdicts += [observed.delta.verdict] * bool(observed.delta.verdict)
    return engine, profiles, verdicts


def test_the_engine_judges_a_sample_and_slates_follow() -> None:
    engine, profiles, verdicts = crowd(Config(), 2_500, loyal=False)
    assert 3 < len(verdicts) < 60
    ask = Ask(profiles["u1"], START + 2_500)
    context = int(engine.pack([ask]).contexts[0])
    told = engine.model.strengths.effective(0.2, 0.1, 0.4)[context]
    assert engine.diversity(ask) == told and engine.pack([ask]).diversity[0] == np.float32(told)
    assert engine.diversity(Ask(profiles["u1"], START, diversity=PROBE)) == PROBE
    copy = Engine(Config())
    copy.model.restore(engine.model.state())
    assert copy.model.strengths.sums.tolist() == engine.model.strengths.sums.tolist()
    assert copy.model.state().digest() == engine.model.state().digest()


def test_nothing_is_judged_where_nothing_is_to_be_learned() -> None:
    fixed = Config(slate=SlateConfig(diversity_floor=0.2, diversity_ceiling=0.2))
    engine, profiles, verdicts = crowd(fixed, 400, loyal=True)
    assert verdicts == [] and engine.diversity(Ask(profiles["u1"], START)) == 0.2
