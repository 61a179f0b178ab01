"""Lists as OpenAI shapes them, and the encoder that all answers go through."""

from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")

encode = msgspec.json.Encoder().encode


class ModelCard(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    object: str = "model"
    created: int
    owned_by: str = "nanobot"


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A list as OpenAI shapes it."""

    object: str = "list"
    data: tuple[T, ...]
    first_id: str | None
    last_id: str | None
    has_more: bool
