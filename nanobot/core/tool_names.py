"""Names of tools as models write them around what they were offered.

Kimi writes `functions.get_weather:0`, Gemini `default_api.get_weather`, gpt-oss
`get_weather<|channel|>commentary`: names of tools have neither dots nor colons nor angle brackets.
"""

from collections.abc import Set

from nanobot.core.late_pattern import LatePattern

_NUMBER = LatePattern(r":\d{1,4}\Z")
_MARK = "<|"
_QUOTES = " \t\r\n\"'`"


def offered_name(name: str, offered: Set[str]) -> str:
    """Return the one of the `offered` names that is meant; `name` itself where it is none of them."""
    if name in offered:
        return name
    bare = _NUMBER.sub("", name.partition(_MARK)[0].strip(_QUOTES))
    for meant in (bare, bare.rpartition(".")[2], bare.rpartition("/")[2]):
        if meant in offered:
            return meant
    return name
