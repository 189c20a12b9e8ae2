"""The contracts as documents: a JSON Schema of each event, and an AsyncAPI 3 document of the topics.

Made from the Structs of ``divrec.events`` and the topic table, so that they cannot say anything else. The model log is
divrec's own and no contract.
"""

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal

import msgspec

from divrec.config import Config
from divrec.events import Click, Event, Item, ItemVector, ModelReady, Quality, Recommendation, Request, Review
from streams.codec import (
    ARRIVED,
    DEAD_LETTER_HEADERS,
    DETAIL,
    EVENT_ID,
    OF_TEXT,
    OFFSET,
    PARTITION,
    REASON,
    REDRIVEN,
    REPLAY,
    STAGE,
    TIMESTAMP,
    TOPIC,
)
from streams.topics import Topics, TopicSpec, topic_specs

VERSION = "1"
"""Of the events (``docs/evolution.md``)."""

SCHEMAS: dict[str, Any] = {
    "click": Click,
    "review": Review,
    "request": Request,
    "item": Item,
    "event": Event,
    "recommendation": Recommendation,
    "item_vector": ItemVector,
    "model_ready": ModelReady,
    "quality": Quality,
}
"""What is described, by the name of its file."""

_INPUTS = frozenset({"Click", "Review", "Request", "Item"})
_JSON = "application/json"
_TEXT = {"type": "string"}
_USER = {"type": "string", "description": "The user_id, UTF-8; partitioned by Kafka's murmur2."}
_ANY = {"description": "Any, or none."}
_HEADERS = {
    EVENT_ID: "The event's id, where its payload gives none.",
    REPLAY: "Any value: the event is history, it teaches and triggers no recommendation unless configured.",
    ARRIVED: "Of the first event of an ingest batch: Kafka's timestamp of its input, epoch milliseconds, decimal.",
    OF_TEXT: "Of a vector: hash of the text that it was made of.",
    REASON: "Why: a short stable code.",
    DETAIL: "Why, for people.",
    STAGE: "The worker that refused it.",
    TOPIC: "The topic it came from.",
    PARTITION: "Its partition there, decimal.",
    OFFSET: "Its offset there, decimal.",
    TIMESTAMP: "Kafka's timestamp of the message that this one was made of, epoch milliseconds, decimal. In an input, "
    "where redrive puts it, it counts in place of Kafka's own.",
    REDRIVEN: "Of a marker, which has no value and is no letter: partition:offset of the letter that was sent back.",
}


@dataclass(frozen=True, slots=True)
class Channel:
    """A topic as its users see it: ``action`` is what divrec does with it, as AsyncAPI 3 counts."""

    topic: str
    messages: tuple[str, ...]
    action: Literal["receive", "send"]
    description: str
    key: Mapping[str, Any]
    headers: tuple[str, ...] = ()


_IN = (EVENT_ID, REPLAY, TIMESTAMP)
_OWN = "May be a topic of your own, in a shape of your own."
CHANNELS = (
    Channel("clicks", ("Click",), "receive", f"What users do with items. {_OWN}", _ANY, _IN),
    Channel("requests", ("Request",), "receive", f"Asks for a slate. {_OWN}", _ANY, _IN),
    Channel("reviews", ("Review",), "receive", f"What users write about items. {_OWN}", _ANY, _IN),
    Channel(
        "items",
        ("Item",),
        "receive",
        f"What can be recommended. A null value withdraws the item that the key names. {_OWN}",
        {"description": "Any; under a null value the item_id, UTF-8."},
        (EVENT_ID, TIMESTAMP),
    ),
    Channel(
        "events",
        ("Click", "Review", "Request"),
        "send",
        "The validated log of what users did, kept for ever. Only divrec writes to it.",
        _USER,
        (REPLAY, ARRIVED, TIMESTAMP),
    ),
    Channel(
        "catalog",
        ("Item",),
        "send",
        "The latest state of every item. A withdrawn one stays, with available: false.",
        {"type": "string", "description": "The item_id, UTF-8."},
        (TIMESTAMP,),
    ),
    Channel(
        "item_vectors",
        ("ItemVector", "ModelReady"),
        "send",
        "The vector of every item's text, a null value where there is none; in every partition a marker of the text "
        "model that has encoded the whole catalogue: the newest is used.",
        {"type": "string", "description": "The name of the text model, '|' and the item_id (none: the marker), UTF-8."},
        (OF_TEXT,),
    ),
    Channel("recommendations", ("Recommendation",), "send", "Slates. Drop repeats by recommendation_id.", _USER),
    Channel(
        "dead_letters",
        ("DeadLetter",),
        "send",
        "What could not be used: key, value and headers as they came, and headers that say why.",
        {"description": "As it came."},
        (*sorted(DEAD_LETTER_HEADERS), REDRIVEN),
    ),
    Channel(
        "metrics", ("Quality",), "send", "How each worker's slates do, every ten seconds.", {"description": "None."}
    ),
)


def documents() -> dict[PurePosixPath, bytes]:
    """Every document by its path below ``docs/``: the same bytes each time."""
    found = {PurePosixPath("schemas") / f"{name}.json": _json(_schema(name)) for name in SCHEMAS}
    return found | {PurePosixPath("asyncapi.json"): _json(_asyncapi())}


def _json(document: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def _schema(name: str) -> dict[str, Any]:
    (root,), components = msgspec.json.schema_components([SCHEMAS[name]], ref_template="#/$defs/{name}")
    _tidy(components)
    if name != "event":
        (title,) = re.findall(r"\w+$", root["$ref"])
        root = components.pop(title)
        _kind_optional(root)
    about = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"urn:divrec:{VERSION}:{name}"}
    return about | root | ({"$defs": components} if components else {})


def _tidy(components: dict[str, Any]) -> None:
    for schema in components.values():
        if description := schema.get("description"):
            schema["description"] = inspect.cleandoc(description).replace("``", "`")


def _kind_optional(schema: dict[str, Any]) -> None:
    """An input topic carries one kind, so its events need not name it; ours always do."""
    if schema["title"] in _INPUTS:
        schema["required"].remove("kind")


def _asyncapi() -> dict[str, Any]:
    config = Config.model_construct()  # the defaults, whatever the environment says
    topics, specs = Topics(config), {spec.name: spec for spec in topic_specs(config)}
    shapes = [shape for name, shape in SCHEMAS.items() if name != "event"]
    _, schemas = msgspec.json.schema_components(shapes, ref_template="#/components/schemas/{name}")
    _tidy(schemas)
    for schema in schemas.values():
        _kind_optional(schema)
    names = {channel.topic: getattr(topics, channel.topic) for channel in CHANNELS}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "divrec",
            "version": VERSION,
            "description": "The topics of divrec under their default names. What divrec receives, applications send; "
            "what it sends, applications may consume.",
        },
        "defaultContentType": _JSON,
        "channels": {channel.topic: _channel(channel, specs[names[channel.topic]]) for channel in CHANNELS},
        "operations": dict(map(_operation, CHANNELS)),
        "components": {"schemas": schemas},
    }


def _channel(channel: Channel, spec: TopicSpec) -> dict[str, Any]:
    settings = {name: _setting(name, value) for name, value in spec.settings.items()}
    kafka = {"partitions": spec.partitions} | ({"topicConfiguration": settings} if settings else {})
    return {
        "address": spec.name,
        "description": channel.description,
        "messages": dict(_messages(channel)),
        "bindings": {"kafka": kafka | {"bindingVersion": "0.5.0"}},
    }


def _setting(name: str, value: str) -> object:
    if name == "cleanup.policy":
        return [value]
    return int(value) if value.lstrip("-").isdigit() else value


def _messages(channel: Channel) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in channel.messages:
        message: dict[str, Any] = {"name": name}
        if name == "DeadLetter":
            message |= {"contentType": "application/octet-stream", "payload": {"description": "The original bytes."}}
        else:
            message["payload"] = {"$ref": f"#/components/schemas/{name}"}
        if channel.headers:
            headers = {header: _TEXT | {"description": _HEADERS[header]} for header in channel.headers}
            message["headers"] = {"type": "object", "properties": headers}
        yield name, message | {"bindings": {"kafka": {"key": dict(channel.key), "bindingVersion": "0.5.0"}}}


def _operation(channel: Channel) -> tuple[str, dict[str, Any]]:
    place = f"#/channels/{channel.topic}"
    messages = [{"$ref": f"{place}/messages/{name}"} for name in channel.messages]
    operation = {"action": channel.action, "channel": {"$ref": place}, "messages": messages}
    return f"{channel.action}_{channel.topic}", operation
