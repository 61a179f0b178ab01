"""The form that an answer must have: how the model is told, and what of its answer is taken."""

import re

import msgspec

from nanobot.core.late_pattern import LatePattern
from nanobot.core.output import InvalidOutput
from nanobot.core.turn import OutputFormat

# Models put JSON into a code fence even when they are told not to.
_FENCED = LatePattern(r"\A```[a-zA-Z]*\s*\n(.*)\n```\Z", re.DOTALL)


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
    """Return the JSON that is all of `text`, or all of its only code fence. Whether it fits the schema is
    another question.

    Raises:
        InvalidOutput: there is none, or it is not an object where one was asked for.
    """
    text = text.strip()
    fenced = _FENCED.match(text)
    if fenced is not None:
        text = fenced[1].strip()
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidOutput(f"it is not JSON ({error})") from error
    if wanted.kind == "json_object" and not isinstance(value, dict):
        raise InvalidOutput("it is JSON, but not an object")
    return text
