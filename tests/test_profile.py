"""Profiles: what they hold, in which bounds, and how they are stored."""

from collections import Counter
from typing import Any
from unittest import mock

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from divrec.consumed import Consumed
from divrec.errors import StoreError
from divrec.profile import REJECTED, Profile, decode_profile, encode_profile
from divrec.rules.rests import logged


@given(st.lists(st.text(max_size=4), max_size=60), st.integers(1, 8))
def test_recent_event_ids(event_ids: list[str], bound: int) -> None:
    profile = Profile("u", 0)
    remembered: list[str] = []
    for event_id in event_ids:
        assert profile.remember(event_id, bound) is (event_id not in remembered)
        if event_id not in remembered:
            remembered = [*remembered, event_id][-bound:]
        assert len(profile.event_ids) == 8 * len(remembered)


def test_a_hash_found_across_two_others_was_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = {"a": 0x1111111122222222, "b": 0x3333333344444444, "across": 0x4444444411111111}
    monkeypatch.setattr("divrec.profile.hash64", hashes.__getitem__)
    profile = Profile("u", 0)
    assert profile.remember("a", 8) and profile.remember("b", 8)
    assert hashes["across"].to_bytes(8, "little") in profile.event_ids
    assert profile.remember("across", 8) and not profile.remember("a", 8) and not profile.remember("b", 8)


def test_history_and_rejections_are_bounded() -> None:
    profile = Profile("u", 0)
    for n in range(50):
        profile.append(f"i{n}", "click", 0.5, n, 7)
        profile.reject(f"r{n}", -1.0)
    assert profile.items == [f"i{n}" for n in range(43, 50)] and profile.ts == list(range(43, 50))
    assert len(profile.actions) == len(profile.feedback) == 7
    assert profile.rejected == [f"r{n}" for n in range(50 - REJECTED, 50)]
    assert len(profile.rejected_feedback) == REJECTED


@given(st.lists(st.integers(0, 40), max_size=300))
def test_habits_keep_what_comes_often(items: list[int]) -> None:
    profile, counts = Profile("u", 0), Counter[str]()
    with mock.patch("divrec.profile.HABITS", 32):
        for item in items:
            profile.count(f"i{item}")
            counts[f"i{item}"] += 1
    assert len(profile.habits) <= 32
    assert all(count <= counts[item] for item, count in profile.habits.items())
    if len(counts) <= 32:
        assert profile.habits == counts
        assert list(profile.habits) == [f"i{item}" for item in dict.fromkeys(reversed(items))][::-1]


def full() -> Profile:
    """A profile in which every field differs from its default."""
    return Profile(
        "用户 a:b",
        3,
        17,
        ["i1", "i2"],
        ["click", "review"],
        [0.6, -1.0],
        [1, 2],
        ["r"],
        [-1.0],
        Consumed().added("i1", 10),
        b"12345678",
        {"word": 0.5},
        9,
        b"\x00\x3c",
        "model",
        5,
        7,
        ["i9"],
        {"i1": 2},
        Consumed().added("i8", 10),
        logged(b"", "i9", 8),
        True,
    )


def test_a_full_profile_leaves_out_no_field() -> None:
    values = msgspec.structs.asdict(full())
    defaults = msgspec.structs.asdict(Profile("", 0))
    assert [name for name in values if values[name] == defaults[name]] == []


def test_encoded_and_decoded_it_is_the_same() -> None:
    for profile in (full(), Profile("u", 3)):
        assert decode_profile(encode_profile(profile), 3) == profile


def test_a_copy_is_equal_and_its_own() -> None:
    profile = full()
    copy = profile.copy()
    assert copy == profile
    copy.append("i3", "click", 1.0, 3, 10)
    copy.reject("r2", -0.5)
    copy.remember("e", 10)
    copy.keywords["other"] = 1.0
    copy.count("i1")
    copy.consumed = copy.consumed.added("i3", 10)
    assert profile == full()


def test_a_profile_of_another_partition_is_an_error() -> None:
    with pytest.raises(StoreError, match="partition 4, got one of 3"):
        decode_profile(encode_profile(full()), 4)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_profile_or_an_error(data: bytes) -> None:
    with pytest.raises(StoreError):
        decode_profile(data, 0)


@pytest.mark.parametrize(
    "damage", [lambda d: d[:-1], lambda d: d + b"\x00", lambda d: d.replace(b"click", b"\xff\xfe\xfd\xfc\xfb")]
)
def test_a_damaged_profile_is_an_error(damage: Any) -> None:
    with pytest.raises(StoreError):
        decode_profile(damage(encode_profile(full())), 3)


def test_a_typical_profile_is_small() -> None:
    profile = Profile("user 12345", 3)
    for n in range(60):
        profile.append(f"item-{n * 7919}", "click", 0.6, 1_700_000_000_000 + n, 100)
        profile.consumed = profile.consumed.added(f"item-{n * 7919}", 16_384)
    for n in range(40):
        profile.remember(f"events:3:{n}", 256)
        profile.keywords[f"keyword {n}"] = 0.5
    assert len(encode_profile(profile)) < 4_096
