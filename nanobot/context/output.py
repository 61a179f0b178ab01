"""The form that an answer must have: how the model is told, and how its answer is checked.

jsonschema-rs is imported when the first schema comes: most servers never see one.
"""

import re
from typing import TYPE_CHECKING

import msgspec

from nanobot.core.errors import InvalidRequest
from nanobot.core.turn import OutputFormat

if TYPE_CHECKING:
    import jsonschema_rs

LARGEST_SCHEMA_BYTES = 100_000
# Models put JSON into a code fence even when they are told not to.
_FENCED = re.compile(r"\A```[a-zA-Z]*\s*\n(.*)\n```\Z", re.DOTALL)
_MOST_SHOWN = 300
_MOST_BACKTRACKING = 100_000


class InvalidOutput(Exception):
    """The text does not have the form that was asked for; the reason is written for the model."""


def check_schema(schema: msgspec.Raw, param: str) -> None:
    """Check that `schema` can be used.

    Raises:
        InvalidRequest: it is too large, or is not a JSON schema; `param` names the field.
    """
    if len(bytes(schema)) > LARGEST_SCHEMA_BYTES:
        raise InvalidRequest(
            f"{param} has {len(bytes(schema))} bytes: at most {LARGEST_SCHEMA_BYTES} are allowed", param=param
        )
    try:
        _validator(schema)
    except ValueError as error:
        raise InvalidRequest(f"{param} is no JSON schema: {_first_line(error)}", param=param) from error


def format_instructions(wanted: OutputFormat) -> str:
    """Return what a model is told that has no way to enforce the form."""
    if wanted.kind == "json_object":
        return "Answer with one JSON object and nothing else: no explanation, no code fence."
    about = f" ({wanted.description})" if wanted.description else ""
    return (
        f"Answer with one JSON value that fits this JSON schema{about}, "
        "and nothing else: no explanation, no code fence.\n"
        f"{bytes(wanted.schema).decode()}"
    )


def repair_instructions(problem: InvalidOutput) -> str:
    """Return what a model is told whose answer had `problem`."""
    return (
        f"Your last answer could not be used: {problem}. Answer my last message again, with the JSON alone."
    )


def conform(text: str, wanted: OutputFormat) -> str:
    """Return the JSON that is all of `text`, or all of its only code fence.

    Raises:
        InvalidOutput: there is none, or it does not match the schema.
    """
    text = text.strip()
    fenced = _FENCED.match(text)
    if fenced is not None:
        text = fenced[1].strip()
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidOutput(f"it is not JSON ({error})") from error
    if wanted.kind == "json_object":
        if not isinstance(value, dict):
            raise InvalidOutput("it is JSON, but not an object")
        return text
    try:
        _validator(wanted.schema).validate(value)
    except ValueError as error:
        raise InvalidOutput(f"it does not fit the schema: {_first_line(error)}") from error
    return text


def _validator(schema: msgspec.Raw) -> "jsonschema_rs.Validator":
    import jsonschema_rs

    # The schema comes from a stranger: nothing is fetched for it, and no pattern may backtrack without end.
    return jsonschema_rs.validator_for(
        bytes(schema).decode(),
        offline=True,
        pattern_options=jsonschema_rs.FancyRegexOptions(backtrack_limit=_MOST_BACKTRACKING),
    )


def _first_line(error: ValueError) -> str:
    return str(error).splitlines()[0][:_MOST_SHOWN]
