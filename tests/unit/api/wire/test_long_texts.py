"""Long strings in bodies of JSON."""

import json
from typing import Any

import msgspec
import pytest

from nanobot.api.wire.decoding import decode
from nanobot.api.wire.long_texts import LONG_BYTES, MOST_WIDE
from nanobot.core.errors import InvalidJson, InvalidRequest

_LONG = 3 * LONG_BYTES


class _Part(msgspec.Struct):
    text: str | None = None
    more: dict[str, Any] | None = None


class _Body(msgspec.Struct):
    content: str | list[_Part] = ""
    short: str = ""
    raw: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)


_decoder = msgspec.json.Decoder(_Body)


class _Watched:
    """A decoder that notes how much it was given at once."""

    type = _Body

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def decode(self, body: bytes) -> _Body:
        self.sizes.append(len(body))
        return _decoder.decode(body)


def _decoded(body: bytes) -> _Body:
    return decode(body, _decoder)


@pytest.mark.parametrize(
    "letters",
    ["x", '"', "\\", "a\\", 'ab"', "\n", "\U0001f600", "x\U0001f600", "ä", "€uro", "\\u00e4", 'xx\\"y'],
)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_long_string_is_what_it_says_wherever_its_pieces_end(letters: str, ascii_only: bool) -> None:
    for shift in range(7):
        text = "-" * shift + letters * (_LONG // len(letters.encode()) // 2)
        body = json.dumps({"content": text, "short": 'a "b"'}, ensure_ascii=ascii_only).encode()
        said = _decoded(body)
        assert said.content == text
        assert said.short == 'a "b"'


def test_nothing_is_decoded_at_once_that_is_as_long_as_the_body() -> None:
    decoder: Any = _Watched()
    body = json.dumps({"content": "x" * 5_000_000, "short": "s"}).encode()
    said = decode(body, decoder)
    assert said == _Body("x" * 5_000_000, "s")
    assert max(decoder.sizes) < LONG_BYTES


def test_long_strings_are_put_back_wherever_they_are() -> None:
    long, other = "x" * _LONG, "y" * _LONG
    whole = {
        "content": [{"text": long}, {"text": "short", "more": {"list": [1, {"deep": other}], other: long}}],
        "raw": [long, {"name": f'{other}"\\'}, "short"],
    }
    said = _decoded(json.dumps(whole).encode())
    assert said.content == [_Part(long), _Part("short", {"list": [1, {"deep": other}], other: long})]
    assert json.loads(bytes(said.raw)) == whole["raw"]


def test_what_is_no_string_is_left_as_it_is() -> None:
    numbers = list(range(100_000))
    said = _decoded(json.dumps({"raw": numbers, "content": "x"}).encode())
    assert json.loads(bytes(said.raw)) == numbers


def test_half_of_a_surrogate_pair_in_a_long_string_is_a_mark() -> None:
    said = _decoded(b'{"content": "%b\\ud83d%b"}' % (b"x" * _LONG, b"y" * _LONG))
    assert said.content == f"{'x' * _LONG}\ufffd{'y' * _LONG}"


@pytest.mark.parametrize(
    "body",
    [
        b'{"content": "%b' % (b"x" * _LONG),
        b'{"content": "%b"' % (b"x" * _LONG),
        b'{"content": "%b\\q"}' % (b"x" * _LONG),
        b'{"content": "%b\n"}' % (b"x" * _LONG),
        b'{"content": "%b\xff"}' % (b"x" * _LONG),
        b'{"content": "%b\\u12"}' % (b"x" * _LONG),
    ],
)
def test_a_long_string_that_is_none_is_invalid(body: bytes) -> None:
    with pytest.raises(InvalidJson):
        _decoded(body)


def test_an_error_shows_the_beginning_of_a_long_string() -> None:
    with pytest.raises(InvalidRequest) as caught:
        _decoded(b'{"content": [{"more": "%b"}]}' % (b"z" * _LONG))
    assert "zzzz…" in caught.value.message
    assert caught.value.param == "content[0].more"


def test_a_text_of_millions_of_characters_beyond_ascii_is_refused() -> None:
    body = json.dumps({"content": "x" * MOST_WIDE + "ä"}, ensure_ascii=False).encode()
    with pytest.raises(InvalidRequest, match="not only those of ASCII"):
        _decoded(body)


def test_a_text_of_millions_of_characters_of_ascii_is_none_too_long() -> None:
    assert _decoded(b'{"content": "%b"}' % (b"x" * (MOST_WIDE + 1))).content == "x" * (MOST_WIDE + 1)
