"""The documents are those that the code makes now, and say of events what the decoders do."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from streams.cli import app
from streams.contracts import CHANNELS, SCHEMAS, documents

DOCS = Path(__file__).parents[2] / "docs"
GOLDEN = sorted(Path(__file__).parent.glob("golden_v*/*.json"))
FILES = {str(path): json.loads(content) for path, content in documents().items()}
TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "number": (int, float),
    "integer": int,
}
ODD = ["", "x", "x" * 257, 0, 1, -1, 201, 0.5, 10**15, True, None, [], ["x"], [""], [1], ["x"] * 65, {}, {"x": "y"}]


def schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = FILES[f"schemas/{name}.json"]
    return found


def accepts(schema: dict[str, Any], value: Any, root: dict[str, Any]) -> bool:
    """Whether ``value`` is valid. Knows the keywords that occur in our schemas, and no others."""
    checks = {
        "$ref": lambda to: accepts(pointed(root, to), value, root),
        "anyOf": lambda some: any(accepts(one, value, root) for one in some),
        "enum": lambda values: value in values and type(value) is not bool,
        "type": lambda name: isinstance(value, TYPES[name]) and (name == "boolean" or not isinstance(value, bool)),
        "required": lambda names: not isinstance(value, dict) or set(names) <= value.keys(),
        "properties": lambda known: (
            not isinstance(value, dict) or all(accepts(known.get(name, {}), value[name], root) for name in value)
        ),
        "additionalProperties": lambda of: (
            not isinstance(value, dict) or all(accepts(of, one, root) for one in value.values())
        ),
        "propertyNames": lambda of: not isinstance(value, dict) or all(accepts(of, name, root) for name in value),
        "items": lambda of: not isinstance(value, list) or all(accepts(of, one, root) for one in value),
        "minLength": lambda least: not isinstance(value, str) or len(value) >= least,
        "maxLength": lambda most: not isinstance(value, str) or len(value) <= most,
        "maxItems": lambda most: not isinstance(value, list) or len(value) <= most,
        "maxProperties": lambda most: not isinstance(value, dict) or len(value) <= most,
        "minimum": lambda least: not isinstance(value, int | float) or value >= least,
        "maximum": lambda most: not isinstance(value, int | float) or value <= most,
    }
    says_nothing = {"$schema", "$id", "$defs", "title", "description", "default", "contentEncoding", "discriminator"}
    return all(checks[keyword](argument) for keyword, argument in schema.items() if keyword not in says_nothing)


def pointed(document: Any, pointer: str) -> Any:
    assert pointer.startswith("#/"), pointer
    for name in pointer[2:].split("/"):
        document = document[name]
    return document


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"]
        yield from (found for one in part.values() for found in references(one))
    elif isinstance(part, list):
        yield from (found for one in part for found in references(one))


def test_the_documents_are_not_stale() -> None:
    stale = [str(path) for path, content in documents().items() if (DOCS / path).read_bytes() != content]
    assert not stale, "run `divrec schemas`"
    assert {path.name for path in (DOCS / "schemas").iterdir()} == {f"{name}.json" for name in SCHEMAS}


def test_the_command_writes_them_whatever_the_environment_says(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["schemas", "--out", str(tmp_path)], env={"DIVREC_KAFKA__PREFIX": "other."})
    assert done.exit_code == 0
    assert {tmp_path / path for path in documents()} == set(map(Path, done.stdout.split()))
    assert all((tmp_path / path).read_bytes() == content for path, content in documents().items())


@pytest.mark.parametrize("name", FILES)
def test_every_reference_leads_somewhere(name: str) -> None:
    for reference in references(FILES[name]):
        assert pointed(FILES[name], reference)


def test_the_asyncapi_document_has_a_channel_and_an_operation_for_every_contract() -> None:
    document = FILES["asyncapi.json"]
    assert document["asyncapi"] == "3.0.0"
    assert set(document["channels"]) == {channel.topic for channel in CHANNELS}
    for operation in document["operations"].values():
        channel = pointed(document, operation["channel"]["$ref"])
        assert [pointed(document, message["$ref"]) for message in operation["messages"]] == [
            *channel["messages"].values()
        ]
    assert document["channels"]["catalog"]["bindings"]["kafka"]["topicConfiguration"] == {"cleanup.policy": ["compact"]}


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_events_are_valid(path: Path) -> None:
    golden = json.loads(path.read_bytes())
    of_kind = schema(golden["kind"])
    assert accepts(of_kind, golden, of_kind)
    assert accepts(of_kind, golden | {"added_later": {"deep": [1, None]}}, of_kind)
    event = schema("event")
    assert accepts(event, golden, event) == (golden["kind"] in event["discriminator"]["mapping"])


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_the_schemas_accept_what_the_decoders_accept(path: Path) -> None:
    golden = json.loads(path.read_bytes())
    of_kind, shape = schema(golden["kind"]), SCHEMAS[golden["kind"]]
    for name in of_kind["properties"].keys() - {"vector"}:  # that a text is base64, a schema does not check
        absent = {key: value for key, value in golden.items() if key != name}
        for changed in [absent, *(golden | {name: odd} for odd in ODD)]:
            if name == "kind" and changed is absent and "kind" in of_kind["required"]:
                continue  # what only divrec writes always names its kind
            assert accepts(of_kind, changed, of_kind) == decodes(changed, shape), (name, changed)


def decodes(value: object, shape: Any) -> bool:
    try:
        msgspec.json.decode(msgspec.json.encode(value), type=shape)
    except msgspec.ValidationError:
        return False
    return True
