"""A value out of bounds is answered with the field, the value and the bounds, which only the types have."""

from typing import Annotated, Literal

import msgspec
import pytest
from msgspec import Meta

from nanobot.api.wire.decoding import decode
from nanobot.core.errors import InvalidRequest


class Inner(msgspec.Struct):
    level: Literal["low", "high"] = "low"
    share: Annotated[float, Meta(ge=0, le=0.5)] | None = None


class Body(msgspec.Struct):
    count: Annotated[int, Meta(ge=1)] | None = None
    most: Annotated[int, Meta(le=3)] | None = None
    name: Annotated[str, Meta(min_length=1, max_length=4)] = "x"
    stop: str | Annotated[list[str], Meta(max_length=1)] | None = None
    labels: Annotated[dict[str, Annotated[str, Meta(max_length=2)]], Meta(max_length=1)] | None = None
    inner: list[Inner] | Inner | None = None


DECODER = msgspec.json.Decoder(Body)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"count": 0}', "count is 0: it must be at least 1"),
        (b'{"most": 4}', "most is 4: it must be at most 3"),
        (b'{"most": 99999999999999999999}', "most is 99999999999999999999: it must be at most 3"),
        (b'{"name": ""}', "name is empty: it must have from 1 to 4 characters"),
        (b'{"name": "Maria"}', 'name is "Maria": it must have from 1 to 4 characters'),
        (b'{"stop": ["a", "b"]}', "stop has 2 entries: it must have at most 1 entry"),
        (b'{"labels": {"a": "", "b": ""}}', "labels has 2 entries: it must have at most 1 entry"),
        (b'{"inner": [{}, {"level": "mid"}]}', 'inner[1].level is "mid": it must be one of high, low'),
        (b'{"inner": {"share": 0.75}}', "inner.share is 0.75: it must be from 0 to 0.5"),
        (b'{"count": "many"}', 'count is "many": expected integer, got string'),
    ],
)
def test_what_is_out_of_bounds_is_refused_with_its_bounds(body: bytes, message: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        decode(body, DECODER)
    assert refused.value.message == message
    assert refused.value.param == message.partition(" ")[0]


def test_an_entry_of_a_map_is_refused_with_its_bounds() -> None:
    with pytest.raises(InvalidRequest, match="at most 2 characters"):
        decode(b'{"labels": {"a": "long"}}', DECODER)
