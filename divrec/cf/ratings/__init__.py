"""Ratings: what a user would give an item, learned in one pass.

``experts`` has the formulas, ``model`` what users share, ``predictor`` is the whole thing for a process of its own.
"""
