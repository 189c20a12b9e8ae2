"""From a relevance order to a varied slate.

A diversifier is ``(relevance[n], rows[n, d], k, *, diversity) -> positions[min(k, n)]``: ``diversity`` in [0, 1] with
0 the relevance order. Rows are vectors (their cosine is the similarity; see ``distances``) or, for those that go by
interests, how much each item belongs to each category. Its contract is ``divrec.checks.diversifier``.

| by vectors | by categories | by both |
|---|---|---|
| mmr, msd, dpp, ssd, cover | xquad, calibrated, set_cover | balanced, the default |
"""
