"""Measures of slates, as pure functions over arrays: one row a slate, one column a place, best first.

Items are whole numbers from 0, -1 is an empty place. What is undefined for a row is NaN there: take ``nanmean``.
"""
