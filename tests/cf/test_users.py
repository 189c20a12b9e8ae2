"""The table of users: numbers, rows, and who comes to lie where."""

import numpy as np

from divrec.cf.users import USER_ITEMS, VISITORS, UserTable, learn_visit


def table(bound: int) -> UserTable:
    found = UserTable(bound)
    found.resize(100)
    return found


def visit(found: UserTable, user: int, item: int, liked: bool = True, recent: tuple[int, ...] = ()) -> int:
    number = found.enter(user)
    flags = np.ones(len(recent), np.bool_)
    ids = np.array(recent, np.int32)
    learn_visit(found.items, found.damped, found.visitors, found.visits, number, found.bound, item, liked, ids, flags)
    return number


def test_users_are_counted_through_and_the_oldest_leaves() -> None:
    found = table(3)
    assert [visit(found, user, 5) for user in (11, 12, 13, 11, 14, 12, 11)] == [0, 1, 2, 0, 3, 1, 4]
    assert found.number(11) == 4 and found.number(12) == -1 and found.seen == 5
    assert found.arrays().oldest == 2
    assert found.visitors[5, :7].tolist() == [0, 1, 2, 0, 3, 1, 4]
    assert found.enter(0) == -1


def test_a_row_is_what_was_liked_last() -> None:
    found = table(10)
    visit(found, 1, 7, recent=tuple(range(20, 80)))
    assert found.items[0].tolist() == [7, *range(20, 20 + USER_ITEMS - 1)]
    visit(found, 1, 8, liked=False, recent=(7, 9))
    assert found.items[0].tolist() == [7, 9, *[-1] * (USER_ITEMS - 2)]


def test_visitors_are_a_ring() -> None:
    found = table(1_000)
    for user in range(1, VISITORS + 6):
        visit(found, user, 3)
    assert found.visitors[3, :6].tolist() == [*range(VISITORS, VISITORS + 5), 5]


def test_a_restored_table_goes_on_alike() -> None:
    for users in (2, 3, 8):
        found, restored = table(3), table(3)
        for user in range(1, users + 1):
            visit(found, user, 5)
        rows = found.rows()
        restored.restore(found.hashes[:rows].copy(), found.items[:rows].copy(), found.seen)
        for user in (1, users, users + 1, 99):
            assert found.enter(user) == restored.enter(user)
        assert (found.hashes == restored.hashes).all()


def test_items_that_leave_are_forgotten() -> None:
    found = table(3)
    visit(found, 1, 5, recent=(6, 7))
    dropped = np.zeros(100, np.bool_)
    dropped[[6, 99]] = True
    found.drop_items(dropped)
    assert found.items[0, :4].tolist() == [5, -1, 7, -1]
