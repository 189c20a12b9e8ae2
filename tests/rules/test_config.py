"""The section [rules]: what is wrong is refused by its name, when it is loaded."""

from pathlib import Path

import pytest

from divrec.config import load_config
from divrec.errors import ConfigError

SHOP = """
[rules]
own_items = false
cap_impressions = 3
cap_days = 2
cool_down_hours = 12

[[rules.filters]]
name = "sold-abroad"
where = [{ field = "seller", any_of = ["x"] }, { field = "price", below = 5 }]

[[rules.boosts]]
name = "house-brand"
where = [{ field = "brand", any_of = ["Ours"] }]
factor = 1.5

[[rules.pins]]
name = "welcome"
item = "sku-1"
position = 1

[[rules.sponsored]]
name = "spring"
where = [{ field = "categories", any_of = ["garden"] }, { field = "age_days", below = 60 }]
positions = [7, 3]

[[rules.limits]]
name = "sellers"
by = "seller"
most = 2

[[rules.limits]]
name = "horror"
where = [{ field = "categories", any_of = ["Horror"] }]
least = 1
most = 3
"""


def load(tmp_path: Path, text: str) -> None:
    file = tmp_path / "some.toml"
    file.write_text(text)
    load_config(file)


def test_a_shop(tmp_path: Path) -> None:
    file = tmp_path / "some.toml"
    file.write_text(SHOP)
    rules = load_config(file).rules
    assert rules.names == ("sold-abroad", "house-brand", "spring", "horror", "welcome", "sellers")
    assert rules.sponsored[0].positions == (3, 7) and rules.rests
    assert load_config(file).rules.filters[0].where[1].below == 5
    assert not load_config(Path(file)).rules.own_items


PIN = '[[rules.pins]]\nname = "p"\nitem = "i"\nposition = 1'
WHERE = 'where = [{ field = "brand", any_of = ["b"] }]'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[rules.filters]]\nname = "f"\nwhere = [{ field = "colour", any_of = ["red"] }]', r"filters\.0 \(f\).*field"),
        ('[[rules.filters]]\nname = "f"\nwhere = [{ field = "price", any_of = ["5"] }]', r"\(f\).*below, at_least"),
        ('[[rules.filters]]\nname = "f"\nwhere = [{ field = "price", below = "much" }]', r"\(f\).*below.*number"),
        ('[[rules.filters]]\nname = "f"\nwhere = [{ field = "price", below = inf }]', r"\(f\).*finite"),
        ('[[rules.filters]]\nname = "f"\nwhere = [{ field = "brand", below = 5 }]', r"expected any_of, none_of"),
        ('[[rules.filters]]\nname = "f"\nwhere = [{ field = "brand" }]', "got none"),
        ('[[rules.filters]]\nname = "f"\nwhere = [{ field = "price", below = 5, at_least = 5 }]', "nothing fits"),
        ('[[rules.filters]]\nname = "f"\nwhere = [{ field = "price", below = 5, missing = true }]', "missing alone"),
        ('[[rules.filters]]\nname = "f"\nwhere = []', r"\(f\)\.where"),
        ('[[rules.filters]]\nname = "f"', r"filters\.0 \(f\)\.where: Field required"),
        (f'[[rules.filters]]\nname = "Große"\n{WHERE}', r"filters\.0.*name"),
        (f'[[rules.filters]]\nname = "cap"\n{WHERE}', "cap stand for what divrec does itself"),
        (f'[[rules.filters]]\nname = "f"\n{WHERE}\n[[rules.filters]]\nname = "f"\n{WHERE}', "got f more than once"),
        (f'[[rules.boosts]]\nname = "b"\nfactor = 0\n{WHERE}', r"boosts\.0 \(b\)\.factor"),
        (f'[[rules.boosts]]\nname = "b"\nfactor = 11\n{WHERE}', r"\(b\)\.factor"),
        ('[[rules.pins]]\nname = "p"\nitem = "i"\nposition = 0', r"pins\.0 \(p\)\.position"),
        (
            f'{PIN}\n[[rules.pins]]\nname = "q"\nitem = "j"\nposition = 1',
            "one pin for each position, got p, q for 1",
        ),
        (
            f'{PIN}\n[[rules.pins]]\nname = "q"\nitem = "i"\nposition = 2',
            "one pin for each item, got p, q for i",
        ),
        (f'[[rules.sponsored]]\nname = "s"\npositions = [2, 2]\n{WHERE}', r"\(s\)\.positions.*different"),
        (f'[[rules.limits]]\nname = "l"\nmost = 1\nleast = 2\n{WHERE}', "limit l: expected least up to most"),
        (f'[[rules.limits]]\nname = "l"\nby = "brand"\nmost = 1\n{WHERE}', "limit l: expected either by or where"),
        ('[[rules.limits]]\nname = "l"\nmost = 1', "limit l: expected either by or where, got neither"),
        ('[[rules.limits]]\nname = "l"\nby = "brand"\nleast = 1', "limit l: with by"),
        ('[[rules.limits]]\nname = "l"\nby = "colour"\nmost = 1', r"limits\.0 \(l\)\.by"),
        (f'[[rules.limits]]\nname = "l"\n{WHERE}', "limit l: expected most or least"),
        ("[rules]\ncap_impressions = 0", r"rules\.cap_impressions"),
        ("[rules]\nown_item = false", r"rules\.own_item"),
        ("\n".join(f'[[rules.filters]]\nname = "f{n}"\n{WHERE}' for n in range(33)), "at most 32 rules"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load(tmp_path, text)


def test_the_environment_sets_rules_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIVREC_RULES__PINS", '[{"name": "p", "item": "i", "position": 2}]')
    monkeypatch.setenv("DIVREC_RULES__CAP_IMPRESSIONS", "4")
    file = tmp_path / "some.toml"
    file.write_text("")
    rules = load_config(file).rules
    assert rules.pins[0].position == 2 and rules.cap_impressions == 4
    monkeypatch.setenv("DIVREC_RULES__PINS", '[{"name": "p", "item": "i", "position": 0}]')
    with pytest.raises(ConfigError, match=r"rules\.pins\.0\.position"):
        load_config(file)
