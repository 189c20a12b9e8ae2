"""Incremental collaborative filtering: neighbours, transitions, popularity."""
