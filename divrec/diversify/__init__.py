"""From a relevance order to a varied slate.

A diversifier is ``(relevance[n], vectors[n, d], k, *, diversity) -> positions[min(k, n)]``: relevance descending,
vectors of unit length (zero where there is none), ``diversity`` in [0, 1] with 0 the relevance order.
"""
