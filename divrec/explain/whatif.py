"""What if: one user's slates at several strengths of diversification, with what each costs and gains."""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from divrec.engine import Ask, Engine
from divrec.events import SlateItem
from divrec.metrics.ild import ild
from divrec.profile import Profile


class Variant(Struct, kw_only=True):
    """A slate and its figures."""

    diversity: float
    mean_relevance: float | None
    """In [0, 1], of the items; None of an empty slate."""
    ild: float | None
    """Mean distance (1 - cosine) of the pairs by the catalogue's text vectors, which are centred: in [0, 2], higher is
    more unlike. None where fewer than two items have one."""
    categories: int
    """Different ones among the first eight of each item, as diversification counts them."""
    differing: int
    """Items that the first of the slates does not have."""
    items: list[SlateItem]
    removed: dict[str, int]
    """Candidates that each rule took out, by its name."""


def what_if(engine: Engine, profile: Profile, now: int, strengths: Sequence[float]) -> list[Variant]:
    """The slates for ``profile`` at stream time ``now``, one for each of ``strengths`` in [0, 1]; none explores."""
    asks = [Ask(profile, now, diversity=strength, explore=False) for strength in strengths]
    slates, removed = engine.recommend_ruled(asks)
    first = {item.item_id for item in slates[0]} if slates else set()
    return [_variant(engine, first, *one) for one in zip(strengths, slates, removed, strict=True)]


def _variant(
    engine: Engine, first: set[str], strength: float, slate: list[SlateItem], removed: dict[str, int]
) -> Variant:
    catalog = engine.catalog
    rows = engine.items.rows([item.item_id for item in slate])
    numbers = catalog.categories.numbers[rows]
    distance = float(ild(catalog.vectors[rows][None])[0])
    return Variant(
        diversity=strength,
        mean_relevance=float(np.mean([item.relevance for item in slate])) if slate else None,
        ild=None if np.isnan(distance) else distance,
        categories=len(np.unique(numbers[numbers >= 0])),
        differing=sum(item.item_id not in first for item in slate),
        items=slate,
        removed=removed,
    )
