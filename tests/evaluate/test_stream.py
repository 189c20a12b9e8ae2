"""Order, first events, positives and tests of a stream."""

from pathlib import Path

import numpy as np
import pytest

from divrec.errors import ConfigError
from tests.evaluate.logs import stream_of, told

T0 = 1_600_000_000


def test_by_time_and_the_first_event_of_a_pair(tmp_path: Path) -> None:
    rows = [f"a,x,{T0 + 30}", f"b,x,{T0 + 20}", f"a,x,{T0 + 10}", f"a,y,{T0 + 40}"]
    stream = stream_of(tmp_path, "u,i,t", rows)
    assert told(stream) == [("a", "x"), ("b", "x"), ("a", "y")]
    assert stream.ts.tolist() == [(T0 + 10) * 1000, (T0 + 20) * 1000, (T0 + 40) * 1000]
    assert stream.users == ["a", "b"] and stream.items == ["x", "y"], "numbered by first appearance"
    again = stream_of(tmp_path, "u,i,t", rows, repeats=True)
    assert told(again) == [("a", "x"), ("b", "x"), ("a", "x"), ("a", "y")]
    assert told(stream_of(tmp_path, "u,i,t", rows, limit=2)) == [("a", "x"), ("b", "x")]


def test_equal_times_are_shuffled_with_the_seed(tmp_path: Path) -> None:
    rows = [f"u{n},i{n},{T0 + n // 10}" for n in range(100)]
    one, same, other = (stream_of(tmp_path, "u,i,t", rows, seed=seed) for seed in (0, 0, 1))
    assert told(one) == told(same) != told(other)
    for stream in (one, other):
        assert (np.diff(stream.ts) >= 0).all() and sorted(told(stream)) == sorted(told(one))
        assert told(stream) != [(f"u{n}", f"i{n}") for n in range(100)]
    timeless = [f"u{n},i{n}" for n in range(100)]
    assert told(stream_of(tmp_path, "u,i", timeless)) != [(f"u{n}", f"i{n}") for n in range(100)]


def test_positives_by_rating(tmp_path: Path) -> None:
    rows = [f"a,v,5,{T0}", f"a,w,3,{T0 + 1}", f"a,x,4,{T0 + 2}", f"a,y,,{T0 + 3}", f"b,v,4.5,{T0 + 4}"]
    stream = stream_of(tmp_path, "u,i,r,t", rows)
    assert stream.positive.tolist() == [True, False, True, False, True]
    assert stream.tested.tolist() == [False, False, True, False, False], "only after an earlier positive of the user"
    assert stream.rule == "rating >= 4" and stream.scale == (1.0, 5.0)
    assert stream_of(tmp_path, "u,i,r,t", rows, positive=3.0).tested.tolist() == [False, True, True, False, False]


def test_positives_by_action(tmp_path: Path) -> None:
    rows = [f"a,v,purchase,{T0}", f"a,w,view,{T0 + 1}", f"a,x,cart,{T0 + 2}"]
    stream = stream_of(tmp_path, "u,i,a,t", rows, positive=frozenset({"purchase", "cart"}))
    assert stream.positive.tolist() == [True, False, True] and stream.rule == "cart, purchase"
    every = stream_of(tmp_path, "u,i,a,t", rows)
    assert every.positive.all() and every.tested.tolist() == [False, True, True] and every.rule == "every event"


def test_ratings_on_other_scales(tmp_path: Path) -> None:
    wide = stream_of(tmp_path, "u,i,r,t", [f"a,v,0.5,{T0}", f"a,w,10,{T0 + 1}", f"a,x,7,{T0 + 2}"])
    assert wide.scale == (0.5, 10.0) and wide.positive.tolist() == [False, True, True]
    yes_no = stream_of(tmp_path, "u,i,r,t", [f"a,v,true,{T0}", f"a,w,false,{T0 + 1}"])
    assert yes_no.rating.tolist() == [5.0, 1.0] and yes_no.scale == (1.0, 5.0)


def test_what_cannot_be_tested_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a rating of 4 or more among 2 events; .* ratings go from 0 to 1"):
        stream_of(tmp_path, "u,i,r,t", [f"a,v,0,{T0}", f"a,w,1,{T0}"])
    with pytest.raises(ConfigError, match="found none"):
        stream_of(tmp_path, "u,i", [])
