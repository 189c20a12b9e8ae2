"""Quiets Python's garbage collector for work that makes much and leaves no cycles."""

import gc


def quiet_collector() -> None:
    """Keep the garbage collector from walking the catalogue and all profiles again and again.

    A slate makes dozens of short-lived objects without cycles; with the default thresholds their collection took more
    time than all the rest of a recommendation.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
