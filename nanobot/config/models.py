"""The tables of models and providers."""

from typing import Annotated, Any, Literal

import msgspec

from nanobot.config.tables import AtLeast1, Positive
from nanobot.core.accounts import Price

Choice = Literal["auto", "yes", "no"]

_KEY_FIELDS = ("api_key", "api_keys", "key_variable", "key_command")
_UNSET: tuple[object, ...] = (None, "auto", (), {})


class EndpointFields(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where and how a model is asked. What is not set is the provider's."""

    base_url: str | None = None
    wire: str | None = None
    api_key: str | None = None
    api_keys: tuple[str, ...] = ()
    key_variable: str | None = None
    key_command: str | None = None
    auth: str | None = None
    headers: dict[str, str] = {}
    body: dict[str, Any] = {}
    proxy: str | None = None
    ca_file: str | None = None
    context_tokens: Annotated[int, msgspec.Meta(ge=1024)] | None = None
    images: Choice = "auto"
    audio: Choice = "auto"
    tools: Choice = "auto"
    cache_salt: Choice = "auto"
    temperature: Annotated[float, msgspec.Meta(ge=0)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    max_tokens: AtLeast1 | None = None
    reasoning_effort: str | None = None

    def over(self, lower: "EndpointFields") -> "EndpointFields":
        """Return these settings, and those of `lower` where none is set here.

        `headers` and `body` are joined field by field. Where a key is set here in any way, no key of `lower`
        is used.
        """
        has_key = any(getattr(self, field) for field in _KEY_FIELDS)
        chosen: dict[str, Any] = {}
        for field in EndpointFields.__struct_fields__:
            own, other = getattr(self, field), getattr(lower, field)
            if isinstance(own, dict):
                chosen[field] = {**other, **own}
            elif own not in _UNSET or (has_key and field in _KEY_FIELDS):
                chosen[field] = own
            else:
                chosen[field] = other
        return EndpointFields(**chosen)


class ModelTable(EndpointFields, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A model and how it is asked. Where a value is absent, the provider's default applies."""

    name: str | None = None
    price: Price | None = None
    connect_timeout_s: Positive = 10.0
    first_byte_timeout_s: Positive = 300.0
    idle_timeout_s: Positive = 120.0
    max_retries: Annotated[int, msgspec.Meta(ge=0)] = 2
    max_answer_chars: AtLeast1 = 1_000_000
    fallback: tuple[str, ...] = ()
    fallback_budget_s: Positive = 600.0


class ProviderTable(EndpointFields, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A provider: a new one, or what is different about one that nanobot knows.

    The keys of `prices` are names of its models.
    """

    default_model: str | None = None
    prices: dict[str, Price] = {}
