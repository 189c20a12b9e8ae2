"""The configured limits as groups of candidates: of each limit by conditions one, of each limit by category, brand or
seller one for each of those among the candidates.
"""

import numpy as np
import numpy.typing as npt

from divrec.compiled import compiled
from divrec.diversify.limits import Limits
from divrec.rules.items import BRAND, BY, CATEGORY, Bits, Ids, RuleArrays

BY_CATEGORY, BY_BRAND = BY.index(CATEGORY), BY.index(BRAND)


@compiled
def limits_of(rules: RuleArrays, rows: Ids, bits: Bits, categories: Ids) -> tuple[Limits, Ids]:
    """The groups of ``rows``, which match the rules ``bits``; and the limit, by place, that each group comes from.

    ``categories`` int32[items, m] are numbers, -1 behind the last.
    """
    n, count = len(rows), len(rules.limit_rules)
    width = 0
    for limit in range(count):
        width += categories.shape[1] if rules.limit_by[limit] == BY_CATEGORY else 1
    keys = np.empty(n * width, np.uint64)  # of all items one after the other: the limit and what is shared
    starts = np.zeros(n + 1, np.int32)
    end = 0
    for i in range(n):
        for limit in range(count):
            by = rules.limit_by[limit]
            key = np.uint64(limit) << np.uint64(32)
            if by < 0:
                if bits[i] >> np.uint32(rules.limit_rules[limit]) & np.uint32(1):
                    keys[end] = key
                    end += 1
            elif by == BY_CATEGORY:
                for number in categories[rows[i]]:
                    if number < 0:
                        break
                    keys[end] = key | np.uint64(number)
                    end += 1
            else:
                mark = rules.brands[rows[i]] if by == BY_BRAND else rules.sellers[rows[i]]
                if mark != np.uint32(0):
                    keys[end] = key | np.uint64(mark)
                    end += 1
        starts[i + 1] = end
    # A limit by conditions is there also where nothing matches it: its least count is unmet then.
    members = np.empty(end, np.int32)
    groups, groups_from = 0, np.empty(count + end, np.int32)
    by_conditions = np.full(count, -1, np.int32)
    for limit in range(count):
        if rules.limit_by[limit] < 0:
            by_conditions[limit] = groups
            groups_from[groups] = limit
            groups += 1
    order = np.argsort(keys[:end], kind="mergesort")
    last = np.uint64(0xFFFFFFFFFFFFFFFF)
    for at in order:
        key = keys[at]
        source = np.int64(key >> np.uint64(32))
        if by_conditions[source] >= 0:
            members[at] = by_conditions[source]
            continue
        if key != last:
            groups_from[groups] = source
            groups += 1
            last = key
        members[at] = groups - 1
    most, least = np.empty(groups, np.int32), np.empty(groups, np.int32)
    for group in range(groups):
        most[group] = rules.limit_most[groups_from[group]]
        least[group] = rules.limit_least[groups_from[group]]
    return Limits(starts, members, most, least), groups_from[:groups]


@compiled
def selected(limits: Limits, positions: npt.NDArray[np.int32]) -> Limits:
    """The same groups of some of the items."""
    starts = np.zeros(len(positions) + 1, np.int32)
    for at in range(len(positions)):
        starts[at + 1] = starts[at] + limits.starts[positions[at] + 1] - limits.starts[positions[at]]
    members = np.empty(starts[-1], np.int32)
    for at in range(len(positions)):
        begin = limits.starts[positions[at]]
        for e in range(starts[at], starts[at + 1]):
            members[e] = limits.members[begin + e - starts[at]]
    return Limits(starts, members, limits.most, limits.least)
