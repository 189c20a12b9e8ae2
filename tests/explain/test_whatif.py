"""Figures of slates where there is little to measure."""

from divrec.config import Config
from divrec.engine import Engine
from divrec.events import Item
from divrec.explain.whatif import what_if
from divrec.profile import Profile

NOBODY = Profile("ann", 0)


def test_nothing_to_recommend() -> None:
    found = what_if(Engine(Config()), NOBODY, 1_000, [0.0, 1.0])
    assert [variant.diversity for variant in found] == [0.0, 1.0]
    for variant in found:
        assert (variant.mean_relevance, variant.ild, variant.categories, variant.differing) == (None, None, 0, 0)
        assert variant.items == []
    assert what_if(Engine(Config()), NOBODY, 1_000, []) == []


def test_items_without_vectors_and_categories() -> None:
    engine = Engine(Config())
    for n in range(3):
        engine.put_item(Item(item_id=f"i{n}", ts=900 + n))
    [plain, varied] = what_if(engine, NOBODY, 1_000, [0.0, 1.0])
    assert len(plain.items) == len(varied.items) == 3
    assert plain.ild is None and plain.categories == 0 and varied.differing == 0
    assert plain.mean_relevance is not None and 0.0 <= plain.mean_relevance <= 1.0


def test_slates_do_not_explore() -> None:
    config = Config()
    engine = Engine(config.model_copy(update={"slate": config.slate.model_copy(update={"explore": 1.0, "k": 2})}))
    for n in range(8):
        engine.put_item(Item(item_id=f"i{n}", ts=900 + n))
    [variant] = what_if(engine, NOBODY, 1_000, [0.0])
    assert [item.relevance_rank for item in variant.items] == [1, 2]
    assert all(
        item.propensity == 1.0 and "explored" not in [reason.code for reason in item.reasons] for item in variant.items
    )
