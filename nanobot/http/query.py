"""Queries of URLs."""

from collections.abc import Sequence
from urllib.parse import parse_qsl

from nanobot.core.errors import InvalidRequest

_MOST_FIELDS = 100


class Query:
    """The query of a request. Of a field that comes several times the last one counts."""

    def __init__(self, query: bytes) -> None:
        text = query.decode("latin-1")
        try:
            self._fields = dict(
                parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
            )
        except (ValueError, UnicodeDecodeError) as error:
            raise InvalidRequest(
                f"the query has more than {_MOST_FIELDS} fields, or is not percent-encoded UTF-8"
            ) from error

    def __contains__(self, name: str) -> bool:
        """Whether the field is there, even if it is empty."""
        return name in self._fields

    def text(self, name: str) -> str | None:
        """Return a field, None where it is not there or empty."""
        return self._fields.get(name) or None

    def whole(self, name: str, *, default: int, low: int, high: int) -> int:
        """Return a whole number.

        Raises:
            InvalidRequest: it is not one, or out of range.
        """
        text = self._fields.get(name)
        if text is None:
            return default
        # `int` alone would take signs, spaces, underscores and the digits of other scripts, and fail on very
        # long numbers.
        number = int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else -1
        if not low <= number <= high:
            raise InvalidRequest(
                f"{name} is {text[:40]!r}: it must be a whole number from {low} to {high}", param=name
            )
        return number

    def one_of(self, name: str, allowed: Sequence[str], *, default: str) -> str:
        """Return one of the words that are allowed.

        Raises:
            InvalidRequest: it is another one.
        """
        word: str = self._fields.get(name, default)
        if word not in allowed:
            raise InvalidRequest(
                f"{name} is {word[:40]!r}: it must be one of {', '.join(allowed)}", param=name
            )
        return word
