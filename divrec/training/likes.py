"""What users liked one after the other."""

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]


def windows(user: Ids, item: Ids, size: int, random: np.random.Generator) -> list[Ids]:
    """The history of each user, ``item[n]`` of ``user[n]`` in the order of time, cut into runs of ``size``, with the
    cuts at places that are drawn; runs of a single item are left out. In random order.

    >>> windows(np.int32([0, 1, 0, 0]), np.int32([5, 6, 7, 8]), 8, np.random.default_rng(0))
    [array([5, 7, 8], dtype=int32)]
    """
    order = np.argsort(user, kind="stable")
    starts = np.flatnonzero(np.diff(user[order], prepend=-1))
    found: list[Ids] = []
    for history in np.split(item[order], starts[1:]):
        # at least half a run at the front: a user of few likes keeps them together
        first = random.integers(size // 2, size + 1) if len(history) > size else size
        cuts = np.arange(first, len(history), size)
        found += [run for run in np.split(history, cuts) if len(run) > 1]
    return [found[n] for n in random.permutation(len(found))]


def co_liked(runs: list[Ids]) -> tuple[Ids, npt.NDArray[np.float32]]:
    """The different items of ``runs``, int32[n], and float32[n, n]: how many runs hold both of two items; 0 for an item
    with itself.

    >>> items, together = co_liked([np.int32([4, 2]), np.int32([2, 9, 4])])
    >>> items.tolist(), together.tolist()
    ([2, 4, 9], [[0.0, 2.0, 1.0], [2.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    """
    items, places = np.unique(np.concatenate(runs), return_inverse=True)
    there = np.zeros((len(runs), len(items)), np.float32)
    there[np.repeat(np.arange(len(runs)), [len(run) for run in runs]), places] = 1.0
    together = there.T @ there
    np.fill_diagonal(together, 0.0)
    return items, together
