"""Imported once by the process that workers are forked from."""

import pytest  # noqa: F401  (multiprocessing imports the main module again in each child)

import streams.encode
import streams.ingest
import streams.recommend  # noqa: F401
from divrec.config import Config
from divrec.warm_up import warm_up

warm_up(Config())
