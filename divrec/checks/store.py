"""What every profile store has to keep, ours and yours.

In a test of your own::

    from divrec.checks.store import check_store

    def test_my_store():
        asyncio.run(check_store(MyStore))
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from divrec.state.store import NOTHING, Advance, Loaded, Saved, Store, Write

UNUSUAL = (
    "user",
    " user",
    "user ",
    "USER",
    "a:b:c",
    "watermark:0",
    "profile:user",
    "{user}",
    "*",
    "'; DROP TABLE users; --",
    "new\nline\ttab\x00zero",
    "用户",
    "e\u0301",
    "\u00e9",
    "🎸👩‍👩‍👧‍👦",
    "x" * 256,
)
"""User ids that a store must tell apart."""

ANY_BYTES = bytes(range(256)) + b"\r\n$-1\r\n"
LARGE = 1 << 20

MakeStore = Callable[[], Store]


async def check_store(make_store: MakeStore) -> None:
    """Raises AssertionError, which says what is wrong with the stores that ``make_store`` makes.

    ``make_store`` is called in the running event loop, once a check, and must give a store that holds nothing.
    """
    for check in (
        _check_nothing,
        _check_save_and_load,
        _check_conflicts,
        _check_watermarks,
        _check_slates,
        _check_bytes,
        _check_user_ids,
        _check_concurrent_savers,
    ):
        store = make_store()
        try:
            await check(store)
        finally:
            await store.close()


async def _check_nothing(store: Store) -> None:
    _same(await store.load([], []), Loaded({}, {}), "load of nothing")
    _same(await store.load(["a", "b"], [0, 7]), Loaded({}, {0: NOTHING, 7: NOTHING}), "load from an empty store")
    _same(await store.latest_slate("a"), None, "slate of an unknown user")
    _same(await store.save([], {}), Saved(frozenset(), True), "save of nothing")
    _same(await store.load(["a"], [0]), Loaded({}, {0: NOTHING}), "load after reading: reading must write nothing")


async def _check_save_and_load(store: Store) -> None:
    writes = [Write(f"u{n}", NOTHING, n, b"profile %d" % n, None) for n in range(50)]
    _same(await store.save(writes, {3: Advance(NOTHING, 49)}), Saved(frozenset(), True), "save of new profiles")
    loaded = await store.load(["u7", "unknown", "u49"], [3, 4])
    _same(loaded, Loaded({"u7": b"profile 7", "u49": b"profile 49"}, {3: 49, 4: NOTHING}), "load of some")
    saved = await store.save([Write("u7", 7, 60, b"later", None)], {3: Advance(49, 60)})
    _same(saved, Saved(frozenset(), True), "save over an older profile")
    _same(await store.load(["u7", "u7"], [3]), Loaded({"u7": b"later"}, {3: 60}), "load of what was saved over")
    saved = await store.save([Write("u8", 8, 61, b"without a watermark", None)], {})
    _same(saved, Saved(frozenset(), True), "save without watermarks")
    saved = await store.save([], {3: Advance(60, 70), 4: Advance(NOTHING, 0)})
    _same(saved, Saved(frozenset(), True), "watermarks alone")
    _same((await store.load([], [3, 4])).watermarks, {3: 70, 4: 0}, "watermarks that were saved alone")


async def _check_conflicts(store: Store) -> None:
    await store.save([Write("a", NOTHING, 10, b"a at 10", None)], {0: Advance(NOTHING, 10)})
    for expected, what in ((NOTHING, "none"), (9, "an older one"), (11, "a newer one")):
        writes = [Write("a", expected, 20, b"wrong", b"wrong"), Write(f"b{expected}", NOTHING, 20, b"right", None)]
        saved = await store.save(writes, {0: Advance(10, 20)})
        _same(saved, Saved(frozenset({"a"}), False), f"save where {what} was expected")
        loaded = await store.load(["a", f"b{expected}"], [0])
        _same(
            loaded,
            Loaded({"a": b"a at 10", f"b{expected}": b"right"}, {0: 10}),
            "after a conflict: its profile and the watermark stay, the other profiles are written",
        )
        _same(await store.latest_slate("a"), None, "slate of a write in conflict")
    saved = await store.save([Write("unknown", 5, 6, b"wrong", None)], {})
    _same(saved.conflicts, frozenset({"unknown"}), "save where the store forgot the profile")
    _same((await store.load(["unknown"], [])).profiles, {}, "a profile in conflict")


async def _check_watermarks(store: Store) -> None:
    await store.save([], {0: Advance(NOTHING, 100), 1: Advance(NOTHING, 5)})
    for advances, what in (
        ({0: Advance(99, 200)}, "expected lower"),
        ({0: Advance(NOTHING, 200)}, "expected none"),
        ({0: Advance(100, 200), 1: Advance(4, 6)}, "one of two as expected"),
        ({2: Advance(7, 8)}, "not there"),
    ):
        saved = await store.save([Write(what, NOTHING, 1, b"profile", None)], advances)
        _same(saved, Saved(frozenset(), False), f"watermark {what}")
        loaded = await store.load([what], [0, 1, 2])
        _same(loaded.watermarks, {0: 100, 1: 5, 2: NOTHING}, f"watermark {what}: all of them stay")
        _same(loaded.profiles, {what: b"profile"}, f"watermark {what}: profiles are written all the same")


async def _check_slates(store: Store) -> None:
    await store.save([Write("a", NOTHING, 1, b"p", b"slate 1"), Write("b", NOTHING, 1, b"p", None)], {})
    _same(await store.latest_slate("a"), b"slate 1", "slate")
    _same(await store.latest_slate("b"), None, "slate of a user who has none")
    await store.save([Write("a", 1, 2, b"p", None)], {})
    _same(await store.latest_slate("a"), b"slate 1", "slate after a save without one")
    await store.save([Write("a", 2, 3, b"p", b"slate 2")], {})
    _same(await store.latest_slate("a"), b"slate 2", "slate after a save with another")


async def _check_bytes(store: Store) -> None:
    large = ANY_BYTES * (LARGE // len(ANY_BYTES))
    await store.save([Write("any", NOTHING, 1, ANY_BYTES, ANY_BYTES), Write("large", NOTHING, 1, large, large)], {})
    _same(
        (await store.load(["any", "large"], [])).profiles, {"any": ANY_BYTES, "large": large}, "profiles of any bytes"
    )
    _same(await store.latest_slate("large"), large, "a slate of any bytes")
    highest = 2**63 - 2
    await store.save([Write("a", NOTHING, highest, b"p", None)], {0: Advance(NOTHING, highest)})
    saved = await store.save([Write("a", highest, highest + 1, b"q", None)], {0: Advance(highest, highest + 1)})
    _same(saved, Saved(frozenset(), True), "offsets of 63 bits")
    _same((await store.load([], [0])).watermarks, {0: highest + 1}, "a watermark of 63 bits")


async def _check_user_ids(store: Store) -> None:
    profiles = {user: b"profile of %d" % n for n, user in enumerate(UNUSUAL)}
    writes = [Write(user, NOTHING, 1, profile, profile) for user, profile in profiles.items()]
    saved = await store.save(writes, {0: Advance(NOTHING, 1)})
    _same(saved, Saved(frozenset(), True), "save for unusual user ids")
    _same(await store.load(UNUSUAL, [0]), Loaded(profiles, {0: 1}), "load for unusual user ids")
    for user, profile in profiles.items():
        _same(await store.latest_slate(user), profile, f"slate of {user!r}")
    saved = await store.save([Write(user, 0, 2, b"wrong", None) for user in UNUSUAL], {})
    _same(saved.conflicts, frozenset(UNUSUAL), "conflicts of unusual user ids")


async def _check_concurrent_savers(store: Store) -> None:
    for at in range(10):
        saved = await _together(
            store.save([Write("a", at - 1, at, b"by %d" % n, None)], {0: Advance(at - 1, at)}) for n in range(8)
        )
        winners = [n for n, one in enumerate(saved) if not one.conflicts]
        _same(len(winners), 1, "savers of one profile at once that had no conflict")
        _same([n for n, one in enumerate(saved) if one.advanced], winners, "of them, those that moved the watermark")
        loaded = await store.load(["a"], [0])
        _same(loaded, Loaded({"a": b"by %d" % winners[0]}, {0: at}), "what the winner saved")


async def _together(saves: Iterable[Awaitable[Saved]]) -> list[Saved]:
    return list(await asyncio.gather(*saves))


def _same(found: object, expected: object, what: str) -> None:
    if found != expected:
        raise AssertionError(f"{what}: expected {_short(expected)}, got {_short(found)}")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 500 else text[:500] + "…"
