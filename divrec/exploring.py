"""Slates that explore: places drawn from the made slate and its pools.

The draw depends on the trigger alone, that is on the user and the number of the event: a slate that is made again from
the same model is the same. Nothing is drawn but what the rules have let through.

The arms stay at their prior, equally likely: what a user was shown is not in the profile, so the owner of an event
cannot tell what an arm has earned.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from divrec.events import Reason, SlateItem
from divrec.interest.vectors import Vectors
from divrec.profile import Profile
from divrec.rank.exploration import Exploration, Explored
from divrec.rules.room import Room
from divrec.slate import POOLS, Slates, similarity_above


class Drawn(NamedTuple):
    slates: Slates
    """Without the pools."""
    places: list[Explored | None]
    """How each slate was drawn; None for one that does not explore."""

    def mark(self, slates: list[list[SlateItem]]) -> None:
        """Write into ``slates``, the events made of ours, how they were drawn."""
        for items, drawn in zip(slates, self.places, strict=True):
            if drawn is None:
                continue
            for item, propensity, arm in zip(items, drawn.propensities, drawn.arms, strict=True):
                item.propensity = propensity
                if arm is not None:
                    item.reasons.insert(0, Reason(code="explored", share=0.0))


class Exploring:
    """Draws ``share`` in [0, 1] of the places of each slate, on average, from ``POOLS``."""

    def __init__(self, share: float) -> None:
        self._exploration = Exploration(share, POOLS)

    def draw(
        self,
        profiles: Sequence[Profile | None],
        made: Slates,
        sizes: Sequence[int],
        vectors: Vectors,
        rooms: Sequence[Room | None],
    ) -> Drawn:
        """The slates of ``profiles``, at most ``sizes[ask]`` items each; those of None stay as they are made.

        ``vectors`` are the items' by row. What rules keep stays where it is; beside it limits leave ``rooms``.
        """
        columns = np.tile(np.arange(max(sizes), dtype=np.intp), (len(profiles), 1))
        counts = made.sizes.copy()
        places: list[Explored | None] = []
        for n, profile in enumerate(profiles):
            if profile is None:
                places.append(None)
                continue
            size, pooled = int(made.sizes[n]), made.pooled[n].tolist()
            rows: list[int] = made.rows[n, : size + sum(pooled)].tolist()
            kept = {at: rows[at] for at in np.flatnonzero(made.kept[n, :size]).tolist()}
            drawn = _between(kept, self._draw(profile, rows, size, pooled, sizes[n], kept, rooms[n]))
            column_of = {row: column for column, row in reversed(list(enumerate(rows)))}
            counts[n] = len(drawn.items)
            columns[n, : counts[n]] = [column_of[row] for row in drawn.items]
            places.append(drawn)
        asks = np.arange(len(profiles))[:, None]
        kept_columns = {name: getattr(made, name)[asks, columns] for name in Slates._fields[3:]}
        slates = made._replace(sizes=counts, **kept_columns)
        for n, place in enumerate(places):
            if place is not None:
                found = slates.rows[n, : counts[n]]
                similarity_above(vectors[found], np.arange(counts[n], dtype=np.int32), slates.similarity[n])
        return Drawn(slates, places)

    def _draw(
        self,
        profile: Profile,
        rows: list[int],
        size: int,
        pooled: list[int],
        k: int,
        kept: Mapping[int, int],
        room: Room | None,
    ) -> Explored:
        pools, end, stay = {}, size, set(kept.values())
        for pool, count in zip(POOLS, pooled, strict=True):
            pools[pool] = [row for row in rows[end : end + count] if row not in stay]
            end += count
        if room is not None:
            for row in stay:
                room.take(row)
        free = [row for at, row in enumerate(rows[:size]) if at not in kept]
        random = np.random.default_rng(profile.seed)
        return self._exploration.draw(free, pools, k - len(kept), random, room)


def _between(kept: Mapping[int, int], drawn: Explored) -> Explored:
    """What was drawn with what is kept in its places, or where there is not enough to reach them, right behind."""
    items, propensities, arms = list[int](), list[float](), list[str | None]()
    following = iter(zip(*drawn, strict=True))
    for at in range(len(kept) + len(drawn.items)):
        ahead = kept.get(at)
        item, propensity, arm = (ahead, 1.0, None) if ahead is not None else next(following, (-1, 1.0, None))
        if item >= 0:
            items.append(item)
            propensities.append(propensity)
            arms.append(arm)
    for row in kept.values():
        if row not in items:
            items.append(row)
            propensities.append(1.0)
            arms.append(None)
    return Explored(items, propensities, arms)
