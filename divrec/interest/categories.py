"""Which categories the candidates have, and how much of them the user wants.

    p(a) ∝ Σ_q max(0, feedback_q) · 2^(-q / 50) · [item q has a] / number of its categories

over the last ``CATEGORY_HISTORY`` interactions, q counting back from the newest; categories that no candidate has are
left out, for no slate could serve them.
"""

import numpy as np
import numpy.typing as npt

from divrec.compiled import compiled

CATEGORY_HISTORY = 100
HALF_LIFE = 50
_DECAY: npt.NDArray[np.float32] = (2.0 ** (-np.arange(CATEGORY_HISTORY) / HALF_LIFE)).astype(np.float32)

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int32]


@compiled
def interest_categories(
    rows: Rows, categories: Rows, places: Rows, history: Rows, feedback: Floats, older: Rows, older_feedback: Floats
) -> tuple[Rows, Rows, Floats, Floats]:
    """The categories of ``rows`` as diversifiers take them, and p float32[c] with the sum 1, or all 0.

    ``categories`` int32[items, m] are numbers, -1 behind the last. The c categories of ``rows`` are counted in the
    order in which they come, so that nothing depends on numbers. ``older`` precedes ``history``; both are newest
    first, -1 where unknown. ``places`` by number is all 0, before and after.
    """
    starts = np.zeros(len(rows) + 1, np.int32)
    members = np.empty(len(rows) * categories.shape[1], np.int32)
    shares = np.empty(len(members), np.float32)
    names = np.empty(len(members), np.int32)
    count = end = 0
    for i in range(len(rows)):
        own = categories[rows[i]]
        for number in own:
            if number < 0:
                break
            if places[number] == 0:
                names[count] = number
                count += 1
                places[number] = count
            members[end] = places[number] - 1
            end += 1
        for e in range(starts[i], end):
            shares[e] = np.float32(1) / np.float32(end - starts[i])
        starts[i + 1] = end
    wanted = np.zeros(count, np.float32)
    if count > 0:
        _count(wanted, categories, places, history, feedback, 0)
        _count(wanted, categories, places, older, older_feedback, len(history))
    total = np.float32(0)
    for a in range(count):
        places[names[a]] = 0
        total += wanted[a]
    if total > 0:
        for a in range(count):
            wanted[a] /= total
    return starts, members[:end], shares[:end], wanted


@compiled
def _count(wanted: Floats, categories: Rows, places: Rows, items: Rows, feedback: Floats, begin: int) -> None:
    for q in range(min(len(items), CATEGORY_HISTORY - begin)):
        if items[q] < 0 or feedback[q] <= 0:
            continue
        own = categories[items[q]]
        held = 0
        while held < len(own) and own[held] >= 0:
            held += 1
        for n in range(held):
            if places[own[n]] > 0:
                wanted[places[own[n]] - 1] += _DECAY[begin + q] * feedback[q] / np.float32(held)
