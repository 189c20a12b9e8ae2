"""What another policy would have earned, from slates that were logged with the chance of every shown item.

    w_n = π(a_n | x_n) / p(a_n | x_n)       π: the policy asked about, p > 0: the one that showed the item
    IPS = 1/N Σ w_n r_n                     unbiased, wide where weights are large (Horvitz & Thompson, 1952)
    SNIPS = Σ w_n r_n / Σ w_n               slightly biased, narrower (Swaminathan & Joachims, 2015)

Both hold only for items that the logging policy could have shown.
"""

from typing import NamedTuple

import numpy as np

from divrec.metrics.bootstrap import Interval, paired_bootstrap
from divrec.metrics.hits import Items, Values

GROUPS = 8_192
"""Users beyond this number are drawn in groups."""


class Counterfactual(NamedTuple):
    """Estimated reward for one shown item under the policy asked about, with 95 % intervals."""

    ips: Interval
    snips: Interval
    effective: float
    """(Σ w)² / Σ w²: with how many equally weighted items one would know as much; far below N the estimate hangs on a
    few items."""


def counterfactual(rewards: Values, logged: Values, asked: Values, users: Items, *, seed: int = 0) -> Counterfactual:
    """Of N shown items: ``rewards`` (1 for a click), chances ``logged`` in (0, 1] and ``asked`` in [0, 1], float64[N].

    ``users`` int[N] says whose slate each was in: intervals draw users. Raises ValueError for chances out of range. All
    NaN without items, SNIPS also if the policy would have shown none of them.
    """
    if len(logged) and not (logged.min() > 0.0 and logged.max() <= 1.0):
        raise ValueError(f"logged chances must be in (0, 1], got {logged.min():g} to {logged.max():g}")
    if len(asked) and not (asked.min() >= 0.0 and asked.max() <= 1.0):
        raise ValueError(f"asked chances must be in [0, 1], got {asked.min():g} to {asked.max():g}")
    weights = asked / logged
    groups = np.unique(users, return_inverse=True)[1] % GROUPS
    size = int(groups.max()) + 1 if len(groups) else 0
    earned, weight, shown = (
        np.asarray(np.bincount(groups, values, size), np.float64)
        for values in (weights * rewards, weights, np.ones(len(weights)))
    )
    squares = float(weights @ weights)
    return Counterfactual(
        paired_bootstrap(earned, shown, seed=seed),
        paired_bootstrap(earned, weight, seed=seed),
        float(weights.sum()) ** 2 / squares if squares > 0 else 0.0,
    )
