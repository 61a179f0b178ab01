"""The form that an answer must have: schemas of strangers, and what models write."""

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from nanobot.context.output import conform, format_instructions
from nanobot.core.output import InvalidOutput
from nanobot.core.turn import OutputFormat
from nanobot.reading.schema_check import SchemaRequest, run
from tests.fuzz.target import Target, drawn

_SCHEMAS: tuple[dict[str, Any], ...] = (
    {
        "type": "object",
        "properties": {"a": {"type": "integer", "minimum": 1}},
        "required": ["a"],
        "additionalProperties": False,
    },
    {"$defs": {"n": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/n"}]}}, "$ref": "#/$defs/n"},
    {"type": "array", "items": {"enum": ["a", 1, None]}, "maxItems": 3, "uniqueItems": True},
    {"type": "string", "pattern": "^(a+)+$", "format": "date-time", "minLength": 1},
    {"$ref": "https://example.org/schema.json"},
    {
        "oneOf": [{"type": "number", "multipleOf": 0.1}, {"const": {"a": []}}],
        "$schema": "http://json-schema.org/draft-07/schema#",
    },
)
_ANSWERS = (
    b'{"a": 1}',
    b'```json\n{"a": 1}\n```',
    b"[1, null]",
    b'"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"',
    b"0.3",
    b"null",
    b"It is 3.",
)
_WORDS = tuple(
    f'"{word}"'.encode()
    for word in (
        "type", "object", "array", "string", "integer", "number", "boolean", "null", "properties", "required",
        "items", "enum", "const", "anyOf", "oneOf", "allOf", "not", "if", "then", "else", "$ref", "#",
        "$defs", "definitions", "$id", "$schema", "$anchor", "$dynamicRef", "$recursiveRef", "pattern",
        "format", "minLength", "maxLength", "minimum", "multipleOf", "maxItems", "uniqueItems",
        "additionalProperties", "patternProperties", "propertyNames", "dependentSchemas",
        "unevaluatedProperties", "contains", "prefixItems", "contentEncoding", "contentMediaType",
    )
)  # fmt: skip


def check_form(content: bytes) -> bool:
    """The first line is the schema, the rest what the model wrote. Return whether the schema was JSON."""
    schema, _, text = content.partition(b"\n")
    try:
        msgspec.json.decode(schema)
    except (ValueError, RecursionError):
        # the body that it came in was refused before
        return False
    _check(msgspec.Raw(schema), text.decode("utf-8", "replace"))
    return True


def _problem(schema: msgspec.Raw, text: str | None) -> str:
    """Return what the task of a worker says is wrong."""
    head = msgspec.json.encode(SchemaRequest(bytes(schema).decode(), text))
    problem = msgspec.json.decode(run(head, b""), type=str)
    assert len(problem) < 1_000
    return problem


def _fitting(text: str, wanted: OutputFormat) -> str:
    found = conform(text, wanted)
    if wanted.kind == "json_schema" and (problem := _problem(wanted.schema, found)):
        raise InvalidOutput(problem)
    return found


def _check(schema: msgspec.Raw, text: str) -> None:
    if _problem(schema, None):
        return
    for wanted in (OutputFormat("json_schema", "it", schema), OutputFormat("json_object")):
        assert format_instructions(wanted)
        try:
            found = _fitting(text, wanted)
        except InvalidOutput as problem:
            assert str(problem)
            assert len(str(problem)) < 1_000
            msgspec.json.encode(str(problem))
            continue
        assert found in text, "an answer that the model did not write"
        value = json.loads(found)
        assert wanted.kind == "json_schema" or isinstance(value, dict)
        assert _fitting(found, wanted) == found, "what fits does not fit a second time"


# Schemas and answers that have to do with each other ----------------------------------------------

_kinds = st.sampled_from(["object", "array", "string", "integer", "number", "boolean", "null", "any"])
_names = st.sampled_from(["a", "b", "ü", "$ref"])
_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**66), 2**66)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=3),
    max_leaves=6,
)
_schemas: st.SearchStrategy[Any] = st.recursive(
    st.booleans()
    | _kinds.map(lambda kind: {"type": kind})
    | _values.map(lambda value: {"const": value})
    | st.just({"$ref": "#"}),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "type": _kinds | st.lists(_kinds, max_size=2),
            "properties": st.dictionaries(_names, inner, max_size=3),
            "required": st.lists(_names, max_size=2),
            "additionalProperties": inner,
            "items": inner,
            "anyOf": st.lists(inner, max_size=2),
            "not": inner,
            "pattern": st.sampled_from(["^a+$", "(a*)*b", "(", "\\p{L}", "(?<=a)b", "\\1"]),
            "$defs": st.dictionaries(_names, inner, max_size=2),
            "$ref": st.sampled_from(["#", "#/$defs/a", "#/$defs/b", "other.json", "https://example.org/a"]),
            "multipleOf": st.sampled_from([0, 0.1, 1e-300, 3]),
        },
    ),
    max_leaves=8,
)
_around = st.sampled_from(["{}", " {}\n", "```json\n{}\n```", "```\n{}\n``` ", "Here: {}", "{}{}"])


@given(_schemas, _values, _around)
def _asked(schema: Any, value: Any, around: str) -> None:
    _check(msgspec.Raw(json.dumps(schema).encode()), around.replace("{}", json.dumps(value)))


TARGETS = (
    Target(
        "output-bytes",
        check_form,
        tuple(json.dumps(schema).encode() + b"\n" + answer for schema in _SCHEMAS for answer in _ANSWERS),
        _WORDS,
    ),
    drawn("output-schemas", _asked),
)
