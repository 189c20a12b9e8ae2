"""Vectors whose inner products are the similarity that was asked for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from divrec.diversify.distances import jaccard_vectors, mixed


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 40), st.integers(0, 8), st.integers(0, 99))
def test_jaccard(n: int, categories: int, seed: int) -> None:
    flags = np.random.default_rng(seed).uniform(size=(n, categories)) < 0.4
    vectors = jaccard_vectors(flags)
    both = flags.astype(float) @ flags.T
    either = (flags[:, None] | flags[None]).sum(axis=2)
    np.testing.assert_allclose(vectors @ vectors.T, both / np.maximum(either, 1), atol=2e-3)
    assert len(vectors) == n


def test_mixed() -> None:
    random = np.random.default_rng(0)
    texts, images = random.normal(size=(20, 8)), random.normal(size=(20, 5))
    vectors = mixed((0.7, texts), (0.3, images))
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors @ vectors.T, 0.7 * texts @ texts.T + 0.3 * images @ images.T, atol=1e-6)
    with pytest.raises(ValueError, match="weight"):
        mixed((-1.0, texts))
    with pytest.raises(ValueError, match="weight"):
        mixed()
    with pytest.raises(ValueError, match="rows"):
        mixed((1.0, texts), (1.0, images[1:]))
    with pytest.raises(ValueError, match="finite"):
        mixed((1.0, np.full((2, 2), np.nan)))
