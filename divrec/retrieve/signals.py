"""The signals that the blend weighs, in their order."""

SIGNALS = (
    "item_neighbour",
    "liked_neighbour",
    "contrast",
    "transition",
    "linear",
    "factors",
    "similar_user",
    "content",
    "well_rated",
    "trending",
    "popular_now",
    "popular",
    "repeat",
    "habit",
    "fresh",
    "keyword",
)
(
    ITEM_ITEM,
    LIKED_ITEM,
    CONTRASTED,
    TRANSITION,
    LINEAR,
    FACTORS,
    SIMILAR_USER,
    CONTENT,
    WELL_RATED,
    TRENDING,
    POPULAR_NOW,
    POPULAR_EVER,
    REPEAT,
    HABIT,
    FRESH,
    KEYWORD,
) = range(len(SIGNALS))
WIDTH = 16
"""Columns of a row of signals: it fills a cache line, and those after the signals are 0."""
assert len(SIGNALS) <= WIDTH
