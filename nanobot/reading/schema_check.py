"""Checking a schema, or an answer against it: a task of `workers`.

jsonschema-rs is imported when the first schema comes: most servers never see one.
"""

from typing import Any

import msgspec

_MOST_SHOWN = 300
_MOST_BACKTRACKING = 100_000


class SchemaRequest(msgspec.Struct, frozen=True):
    """What to check. `text` None: the schema alone."""

    schema: str
    text: str | None = None


def run(head: bytes, content: bytes) -> bytes:
    """Return what is wrong as a JSON string, an empty one where nothing is; `head` is a `SchemaRequest`."""
    request = msgspec.json.decode(head, type=SchemaRequest)
    return msgspec.json.encode(problem_of(request.schema, request.text))


def problem_of(schema: str | bool | dict[str, Any], text: str | None) -> str:
    """Return what is wrong with the schema, or with the JSON `text` where there is one; nothing if all is
    well. The schema is a value, or JSON.
    """
    import jsonschema_rs

    try:
        # The schema comes from a stranger: nothing is fetched for it, and no pattern may backtrack without
        # end.
        validator = jsonschema_rs.validator_for(
            schema,
            offline=True,
            pattern_options=jsonschema_rs.FancyRegexOptions(backtrack_limit=_MOST_BACKTRACKING),
        )
        if text is not None:
            validator.validate(msgspec.json.decode(text))
    except ValueError as error:
        return str(error).splitlines()[0][:_MOST_SHOWN] or type(error).__name__
    return ""
