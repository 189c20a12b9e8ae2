"""Impressions that keep an item back: frequency caps, and the rest after an impression without an answer.

The log of a profile (``Profile.impressions``) is kept where rules ask for it: for each of a user's last ``LOGGED``
impressions 8 bytes, the fingerprint of the item and twice the minute of its event time, plus one once it was answered.
"""

import numpy as np
import numpy.typing as npt

from divrec.compiled import compiled
from divrec.items import fingerprint

LOGGED = 512
"""Impressions that count: 4 kB. Who sees more within a cap's days is shown an item more often than the cap says."""
MINUTE_MS = 60_000

Log = npt.NDArray[np.uint32]


def logged(log: bytes, item_id: str, ts: int) -> bytes:
    """``log`` with one more impression."""
    entry = fingerprint(item_id).to_bytes(4, "little") + (ts // MINUTE_MS << 1 & 0xFFFFFFFF).to_bytes(4, "little")
    return (log + entry)[-8 * LOGGED :]


def answered(log: bytes, item_id: str) -> bytes:
    """``log`` in which the impressions of the item have an answer."""
    if not log:
        return log
    entries = np.frombuffer(log, "<u4").reshape(-1, 2)
    own = entries[:, 0] == np.uint32(fingerprint(item_id))
    if not own.any():
        return log
    marked = entries.copy()
    marked[own, 1] |= np.uint32(1)
    return marked.tobytes()


@compiled
def resting(log: Log, now: int, cap: int, cap_minutes: float, cool_minutes: float) -> tuple[Log, npt.NDArray[np.bool_]]:
    """The sorted fingerprints of the items that ``log`` keeps back at ``now``, and whether by the cap.

    ``cap`` 0 and ``cool_minutes`` 0: neither counts.
    """
    entries = len(log) // 2
    prints, capped = np.empty(entries, np.uint32), np.empty(entries, np.bool_)
    order = np.argsort(log[0 : 2 * entries : 2], kind="mergesort")
    minute = now / MINUTE_MS
    held = at = 0
    while at < entries:
        own = log[2 * order[at]]
        shown = 0
        cools = False
        while at < entries and log[2 * order[at]] == own:
            word = log[2 * order[at] + 1]
            age = minute - (word >> np.uint32(1))
            shown += age < cap_minutes
            cools |= age < cool_minutes and word & np.uint32(1) == 0
            at += 1
        full = 0 < cap <= shown
        if full or cools:
            prints[held], capped[held] = own, full
            held += 1
    return prints[:held], capped[:held]
