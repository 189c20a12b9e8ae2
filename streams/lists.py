"""What lists are like, by model and catalogue as they are now: looked at every few seconds, not for every slate."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from divrec.asks import Ids
from divrec.config import Config
from divrec.engine import Engine
from divrec.events import ListQuality
from divrec.items import ItemIndex
from divrec.metrics.category_coverage import category_coverage
from divrec.metrics.coverage import catalog_coverage
from divrec.metrics.exposure import gini
from divrec.metrics.freshness import freshness
from divrec.metrics.hits import Values
from divrec.metrics.ild import ild, ild_of_sets
from divrec.metrics.inter_list import inter_list_distance
from divrec.metrics.novelty import novelty
from divrec.metrics.popularity import percentiles, popularity
from divrec.model import DAY_MS

SAMPLE = 10_000
"""Items, evenly drawn, that tell how popular others are: a percentile is known to half a hundredth."""
AT_ONCE = 64
"""Lists whose vectors are looked at together: they fit into the cache."""

Lists = Sequence[Sequence[str]]


def list_quality(config: Config, engine: Engine, lists: Lists, before: Lists | None = None) -> ListQuality:
    """The figures of the first ``slate.k`` items of ``lists``, best first; items that are no longer known are left out.

    With ``before``, the list before each of the same user (empty if there is none), also those of all lists together.
    Some 10 ms of CPU for 500 lists with vectors of 384 dimensions.
    """
    catalog, model, k = engine.catalog, engine.model, config.slate.k
    rows = rows_of(engine.items, lists, k)
    there = rows >= 0
    counts = np.where(there, model.counts[rows], -1.0).astype(np.int64)
    among = np.sort(model.counts[model.order[:: len(model) // SAMPLE + 1]])
    numbers = np.where(there[:, :, None], catalog.categories.numbers[rows], -1)
    appeared = catalog.ts[rows]
    ages = np.where(there & (appeared > 0), model.now - appeared, np.nan)
    found = ListQuality(
        category_coverage=_mean(category_coverage(numbers.reshape(len(rows), -1), len(catalog.categories))),
        ild=_mean(_ild(catalog.vectors, rows)),
        ild_categories=_mean(ild_of_sets(numbers)),
        novelty=_mean(novelty(counts, np.full(len(rows), model.interactions))),
        popularity=_mean(popularity(percentiles(counts, among))),
        freshness=_mean(freshness(ages, config.slate.fresh_days * DAY_MS)),
    )
    if before is not None:
        shown, items = np.unique(rows[there], return_counts=True)[1], max(len(catalog), len(model))
        found.inter_list = _mean(inter_list_distance(rows, rows_of(engine.items, before, k)))
        found.catalog_coverage, found.gini = catalog_coverage(shown, items), gini(shown, items)
    return found


def rows_of(items: ItemIndex, lists: Lists, k: int) -> Ids:
    """Indices of the first ``k`` items of each list, int32[lists, k], -1 for none."""
    rows = np.full((len(lists), k), -1, np.int32)
    for row, held in zip(rows, lists, strict=True):
        row[: len(held)] = items.rows(held[:k])
    return rows


def _ild(vectors: npt.NDArray[np.float32], rows: Ids) -> Values:
    found = [np.zeros(0)]
    for at in range(0, len(rows), AT_ONCE):
        part = rows[at : at + AT_ONCE]
        found.append(ild(np.where((part >= 0)[:, :, None], vectors[part], np.float32(0))))
    return np.concatenate(found)


def _mean(values: Values) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None
