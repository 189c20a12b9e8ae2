"""Categories as numbers: what items have, and names that come and go within the bound."""

from hypothesis import given
from hypothesis import strategies as st

from divrec.categories import PER_ITEM, ItemCategories

names = st.lists(st.sampled_from("abcdefghijkl"), max_size=12)


def held(categories: ItemCategories, index: int) -> list[str]:
    return [categories._names[number] for number in categories.numbers[index].tolist() if number >= 0]


@given(st.lists(st.tuples(st.integers(0, 5), names), max_size=40))
def test_items_have_what_was_put_last_and_other_names_leave(puts: list[tuple[int, list[str]]]) -> None:
    categories = ItemCategories()
    categories.resize(6)
    expected: dict[int, list[str]] = {}
    for index, put in puts:
        categories.put(index, put)
        expected[index] = list(dict.fromkeys(put))[:PER_ITEM]
    for index, wanted in expected.items():
        assert held(categories, index) == wanted
    assert len(categories) == len({name for wanted in expected.values() for name in wanted}) <= 12


def test_over_the_bound_a_category_does_not_count_until_another_leaves() -> None:
    categories = ItemCategories(max_names=2)
    categories.resize(4)
    categories.put(0, ["News", "Sports", "news"])
    categories.put(1, ["Music", "sports"])
    assert held(categories, 0) == ["news", "sports"] and held(categories, 1) == ["sports"]
    assert len(categories) == 2
    categories.put(0, [])
    categories.put(2, ["Music"])
    assert held(categories, 1) == ["sports"] and held(categories, 2) == ["music"] and len(categories) == 2
    before = categories.nbytes
    categories.resize(100)
    assert categories.nbytes > before and held(categories, 2) == ["music"] and held(categories, 50) == []
