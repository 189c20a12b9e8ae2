"""``divrec`` in the evaluator is the engine as the streams call it."""

import math
from pathlib import Path

import pytest

from divrec.config import Config
from divrec.deltas import ModelLogRecord
from divrec.engine import Engine
from divrec.evaluate.content import Content
from divrec.evaluate.engine_rankers import evaluated
from divrec.evaluate.models import SIGNAL_MODELS, passes
from divrec.evaluate.prequential import evaluate
from divrec.evaluate.stream import ACTIONS, Stream
from divrec.events import Click
from divrec.profile import Profile
from tests.evaluate.logs import stream_of
from tests.evaluate.test_prequential import T0, random_stream


def by_hand(stream: Stream, config: Config) -> dict[str, float]:
    """An engine and a dict of profiles."""
    engine, profiles = Engine(evaluated(config, stream)), dict[int, Profile]()
    hits = gain = 0.0
    for at in range(len(stream)):
        user, item_id = int(stream.user[at]), stream.items[stream.item[at]]
        profile = profiles.get(user) or Profile(stream.users[user], 0)
        if stream.tested[at]:
            slate = [item.item_id for item in engine.recommend(profile, int(stream.ts[at]), k=10, diversity=0.0)]
            if item_id in slate:
                hits, gain = hits + 1, gain + 1 / math.log2(slate.index(item_id) + 2)
        click = Click(user_id=profile.user_id, item_id=item_id, rating=float(stream.rating[at]), ts=int(stream.ts[at]))
        observed = engine.observe(profile, click, str(at), at)
        profiles[user] = observed.profile
        if observed.delta is not None:
            engine.apply(ModelLogRecord(0, [observed.delta]), at)
    tests = int(stream.tested.sum())
    return {"hr@10": hits / tests, "ndcg@10": gain / tests}


@pytest.mark.parametrize("repeats", [False, True])
def test_it_is_the_engine(tmp_path: Path, repeats: bool) -> None:
    stream = random_stream(tmp_path, repeats=repeats, events=1_500)
    expected = by_hand(stream, Config())
    figures = (
        evaluate(stream, passes(["divrec"], stream, Config(), Content()), reference="divrec").models["divrec"].figures
    )
    assert {name: figures[name] for name in expected} == pytest.approx(expected, abs=1e-12)
    assert expected["hr@10"] > 0.1


def test_signals_say_nothing_where_they_know_nothing(tmp_path: Path) -> None:
    rows = [f"u{n % 7},i{n % 11},5,{T0 + n}" for n in range(77)]
    stream = stream_of(tmp_path, "u,i,r,t", rows)
    found = evaluate(stream, passes(list(SIGNAL_MODELS), stream, Config(), Content()), reference="divrec")
    assert found.models["signal-content"].figures["catalog_coverage"] == 0.0, "no item has a vector"
    assert found.models["signal-item_neighbour"].figures["catalog_coverage"] == 1.0


def test_what_a_user_had_is_hidden_whatever_the_action_was(tmp_path: Path) -> None:
    stream = stream_of(tmp_path, "u,i,a,t", [f"a,x,view,{T0}", f"a,y,cart,{T0 + 1}", f"b,x,view,{T0 + 2}"])
    config = evaluated(Config(), stream)
    assert config.slate.consumed_actions == ACTIONS and not config.slate.allow_repeats
