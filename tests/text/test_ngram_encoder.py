"""Encoders of hashed words keep the contract of every encoder."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from divrec.checks.encoder import check_encoder
from divrec.config import EncoderConfig
from divrec.errors import EncoderError
from divrec.text.encoder import Encoder, load_encoder, names_model
from divrec.text.ngram_encoder import NgramEncoder, TfidfEncoder
from tests.text.bounded import costs_no_more

PLOTS = ["a heist in space", "the heist of the century", "love in the time of war", "war in space", "太空战争", "爱情"]


def learned() -> TfidfEncoder:
    encoder = TfidfEncoder(64, buckets=2**10)
    encoder.learn(PLOTS)
    return encoder


@pytest.mark.parametrize("encoder", [NgramEncoder(), NgramEncoder(16), TfidfEncoder(), learned()])
def test_contract(encoder: Encoder) -> None:
    assert isinstance(encoder, Encoder)
    check_encoder(encoder)


def test_what_is_shared_is_similar() -> None:
    for encoder in (NgramEncoder(), TfidfEncoder()):
        space, other, love, chinese, of_it = encoder.encode(["space war", "war in space", "love", "太空战争", "太空"])
        assert space @ other > max(0.4, space @ love) and chinese @ of_it > 0.4


def test_rare_words_count_more() -> None:
    encoder = learned()
    rare, common, text = encoder.encode(["century", "in", "century in"])
    assert text @ rare > text @ common


def test_learning_makes_another_space() -> None:
    encoder = learned()
    name = encoder.name
    encoder.encode(PLOTS)
    assert encoder.name == name == learned().name
    encoder.learn(["more"])
    assert encoder.name != name


def test_state() -> None:
    encoder, other = learned(), TfidfEncoder(64, buckets=2**10)
    other.restore(encoder.state())
    assert other.name == encoder.name
    assert (other.encode(PLOTS) == encoder.encode(PLOTS)).all()
    other.learn(["more"])
    assert encoder.learned == len(PLOTS)


@given(st.lists(st.text(alphabet=st.characters(), max_size=200), max_size=5))
def test_any_text(texts: list[str]) -> None:
    encoder = TfidfEncoder(32, buckets=2**8)
    encoder.learn(texts)
    vectors = encoder.encode(texts)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize("piece", ["a ", "长", "👍", "<", "\u200f", "\x00"])
def test_a_megabyte(piece: str) -> None:
    encoder = NgramEncoder()
    costs_no_more(lambda text: encoder.encode([text]), piece)


def test_it_is_configured_by_its_name() -> None:
    encoder = load_encoder(EncoderConfig(model="ngrams-128"))
    assert isinstance(encoder, NgramEncoder) and encoder.name == "ngrams-128" and encoder.dimensions == 128
    assert names_model(encoder.name, "ngrams-128")
    with pytest.raises(EncoderError, match="expected 2 to 4,096 dimensions, got 5000"):
        load_encoder(EncoderConfig(model="ngrams-5000"))
