"""JSON schemas for older servers of the Gemini API."""

from typing import Any

import pytest

from nanobot.models.gemini.schema import openapi_schema


@pytest.mark.parametrize(
    ("schema", "subset"),
    [
        ({"type": "object", "additionalProperties": False, "$schema": "x"}, {"type": "object"}),
        ({"type": ["string", "null"]}, {"type": "string", "nullable": True}),
        ({"type": ["string", "integer"]}, {}),
        ({"const": "a"}, {"enum": ["a"]}),
        ({"type": "integer", "enum": [1, 2]}, {"type": "integer"}),
        ({"type": "string", "format": "uri"}, {"type": "string"}),
        ({"type": "string", "format": "date-time"}, {"type": "string", "format": "date-time"}),
        ({"oneOf": [{"type": "string"}, {"const": 1}]}, {"anyOf": [{"type": "string"}, {}]}),
        ({"type": "array"}, {"type": "array", "items": {}}),
        ({"type": "array", "items": {"type": "string"}}, {"type": "array", "items": {"type": "string"}}),
        ({"type": "object", "properties": {}, "required": ["a"]}, {"type": "object"}),
        (True, {}),
    ],
)
def test_what_the_subset_can_say_is_kept(schema: Any, subset: dict[str, Any]) -> None:
    assert openapi_schema(schema) == subset


def test_references_are_followed_until_they_come_back() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}, "required": ["next", "gone"]}
    schema = {"$ref": "#/$defs/Node", "$defs": {"Node": node}}
    assert openapi_schema(schema) == {"type": "object", "properties": {"next": {}}, "required": ["next"]}


def test_a_schema_of_any_depth_ends() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(200):
        schema = {"type": "array", "items": schema}
    assert openapi_schema(schema)["type"] == "array"
