"""Workers for the tests of an encoder switch: a text model of hashes, and a look at the vectors of every slate.

A model is called ``m-<dimensions>``, or is a directory of that name. The first value of its vectors is its own.
"""

import json
import os
import sys
import time
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from divrec.config import Config, EncoderConfig
from divrec.engine import Engine
from divrec.items import hash64

ENCODE = "import sys; from tests.streams.switching import encode; encode(sys.argv[1], {pause})"
RECOMMEND = "import sys; from tests.streams.switching import recommend; recommend(sys.argv[1])"
RETIRE_AFTER_S = 0.7
MIXED = 99
"""Exit code of a worker that found vectors of two models."""


def dimensions_of(model: str) -> int:
    return int(model.split("-")[1])


def mark_of(model: str) -> float:
    return round(hash64(model) % 1_000 / 1_250 - 0.4, 3)


class HashModel:
    """Vectors from a hash of model and text; each text takes ``pause`` seconds."""

    def __init__(self, name: str, pause: float = 0.0) -> None:
        self.name, self.dimensions, self.pause = name, dimensions_of(name), pause

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        time.sleep(self.pause * len(texts))
        return np.stack([self._vector(text) for text in texts])

    def _vector(self, text: str) -> NDArray[np.float32]:
        seed = int.from_bytes(blake2b(f"{self.name}|{text}".encode(), digest_size=8).digest(), "little")
        rest = np.random.default_rng(seed).normal(size=self.dimensions - 1)
        mark = mark_of(self.name)
        rest *= (1 - mark**2) ** 0.5 / np.linalg.norm(rest)
        return np.concatenate([[mark], rest]).astype(np.float32)


def encode(values: str, pause: float) -> None:
    import streams.encode
    import streams.encoding.reencode

    def load(config: EncoderConfig) -> HashModel:
        return HashModel(config.model, pause)

    streams.encoding.reencode.RETIRE_AFTER_S = RETIRE_AFTER_S
    if pause >= 0:  # else the real one
        streams.encode.load_encoder = load
    streams.encode.run(Config(**json.loads(values)))


def recommend(values: str) -> None:
    """A recommend worker that ends with ``MIXED`` if the vectors of a slate are not all of the model that is named."""
    import streams.recommend

    make, warm_up = Engine.make, streams.recommend.warm_up

    def watched(self: Engine, asks: Any) -> Any:
        catalog = self.catalog
        if catalog.dimensions:
            sizes = {catalog.vectors.shape[1], asks.reviews.shape[1], len(catalog.centre), catalog.dimensions}
            marks = catalog._raw[catalog.has_vector, 0].astype(float)
            hashed = catalog.model == f"m-{catalog.dimensions}"
            if sizes != {dimensions_of(catalog.model)} or (hashed and np.ptp([*marks, mark_of(catalog.model)]) > 2e-3):
                print(f"mixed: {catalog.model} {sizes}", file=sys.stderr, flush=True)
                os._exit(MIXED)
        return make(self, asks)

    def warmed(config: Config) -> None:
        warm_up(config)
        Engine.make = watched  # type: ignore[method-assign]

    streams.recommend.warm_up = warmed
    sys.exit(streams.recommend.run(Config(**json.loads(values))))
