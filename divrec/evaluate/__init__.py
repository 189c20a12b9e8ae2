"""Prequential evaluation: each positive event first tests every model, then all of them learn from it."""
