"""Events of version 1, as they may lie in Kafka for years: they decode, and nothing of them is lost or renamed."""

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from divrec.config import FeedbackConfig
from divrec.data.decode import decode_event, decoder
from divrec.events import Click, Item, ItemVector, ModelReady, Quality, Recommendation, Request, Review, unpack_vector

GOLDEN = sorted((Path(__file__).parent / "golden_v1").glob("*.json"))
SHAPES: dict[str, Any] = {
    "item": Item,
    "click": Click,
    "review": Review,
    "request": Request,
    "recommendation": Recommendation,
    "item_vector": ItemVector,
    "model_ready": ModelReady,
    "quality": Quality,
}
LEAST = {
    "item": {"title": "", "categories": [], "available": True, "price": None, "ts": 0},
    "click": {"action": "click", "rating": None, "ts": 0, "event_id": None},
    "review": {"title": "", "rating": None, "language": None, "vector": None, "terms": []},
    "request": {"k": None, "diversity": None, "exclude": [], "context": {}, "request_id": None},
}


def shape(golden: dict[str, Any]) -> Any:
    return SHAPES[golden["kind"]]


def test_there_is_a_golden_event_of_each_kind() -> None:
    assert {json.loads(path.read_bytes())["kind"] for path in GOLDEN} == set(SHAPES)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_decodes_and_encodes_to_the_same_json(path: Path) -> None:
    golden = json.loads(path.read_bytes())
    event = decode_event(path.read_bytes(), shape(golden))
    assert json.loads(msgspec.json.encode(event)) == golden


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_unknown_fields_of_a_later_version_are_ignored(path: Path) -> None:
    golden = json.loads(path.read_bytes())
    later = {"added_later": {"deep": [1, None]}, **golden}
    assert decode_event(json.dumps(later).encode(), shape(golden)) == decode_event(path.read_bytes(), shape(golden))


def test_every_field_of_version_1_is_in_a_golden_event() -> None:
    goldens = [json.loads(path.read_bytes()) for path in GOLDEN]
    for kind, struct in SHAPES.items():
        held = set().union(*(golden for golden in goldens if golden["kind"] == kind))
        assert held - {"kind"} == set(struct.__struct_fields__), kind


@pytest.mark.parametrize("kind", LEAST)
def test_what_is_not_given_has_the_defaults_of_version_1(kind: str) -> None:
    event = decode_event((Path(__file__).parent / "golden_v1" / f"{kind}_least.json").read_bytes(), SHAPES[kind])
    assert {name: getattr(event, name) for name in LEAST[kind]} == LEAST[kind]


@pytest.mark.parametrize("kind", ["click", "review", "request", "item"])
def test_the_decoders_of_the_input_topics_take_them(kind: Any) -> None:
    data = (Path(__file__).parent / "golden_v1" / f"{kind}.json").read_bytes()
    assert decoder(kind, {}, FeedbackConfig())(data) == decode_event(data, SHAPES[kind])


def test_vectors_are_base64_of_little_endian_float16() -> None:
    data = (Path(__file__).parent / "golden_v1" / "item_vector.json").read_bytes()
    assert np.array_equal(unpack_vector(decode_event(data, ItemVector).vector, 16), np.full(16, 0.25, np.float32))
