"""A provider as data: where it is, how it is asked, and the environment variables that its users have."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from nanobot.models.address import BEARER, KeyHeader

Wire = Literal["openai", "responses", "anthropic", "gemini"]
"""The wire formats: each has a folder of its name in `nanobot/models`, `responses` in `openai_responses`."""


class Blank(msgspec.Struct, frozen=True):
    """A part of an address that the environment fills in: the first of `variables` that is set, else
    `default`.
    """

    variables: tuple[str, ...]
    default: str | None = None


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """A server of models.

    Attributes:
        title: what it is called.
        base_url: where its API is. What stands in braces is a key of `blanks`.
        key_variables: the environment variables of its API key, the first one that is set counts; empty where
            it works without a key.
        token_variables: variables of a key that is sent as a bearer token, whatever `auth` says. They come
            first.
        key_command: what prints a key that expires, where no variable has one.
        default_model: the model when none is named; None where there is no obvious one.
        context_tokens: the context window of its models, unless the settings say otherwise.
        base_url_variables: environment variables that take the place of `base_url`.
        host_variables: the same, but they may lack scheme, port and path, which `base_url` then gives.
        header_variables: headers whose value an environment variable has.
        model_variables: environment variables that name the model, where none is named.
        detected: the environment's key or address may choose it. False where the variables are also set for
            other purposes.
        takes_audio: it passes recordings on to those of its models that take them.
        lists_all: its list of models names every model that it has.
        tells_window: it can be asked how large the window of a loaded model is, as Ollama can.
        salts_cache: it keeps its prefix cache apart by the field `cache_salt` of a request, as vLLM does.
        retired: the day since which it answers nobody any more.
        wire: the format of its requests and answers.
        auth: how a key is sent, where there is one.
    """

    name: str
    title: str
    base_url: str
    key_variables: tuple[str, ...] = ()
    token_variables: tuple[str, ...] = ()
    key_command: str | None = None
    default_model: str | None = None
    context_tokens: int = 128_000
    blanks: Mapping[str, Blank] = {}
    base_url_variables: tuple[str, ...] = ()
    host_variables: tuple[str, ...] = ()
    header_variables: Mapping[str, str] = {}
    model_variables: tuple[str, ...] = ()
    detected: bool = True
    takes_audio: bool = False
    lists_all: bool = False
    tells_window: bool = False
    salts_cache: bool = False
    retired: str | None = None
    wire: Wire = "openai"
    auth: KeyHeader = BEARER

    @property
    def key_variable(self) -> str | None:
        """The environment variable to name to somebody who has no key yet."""
        return self.key_variables[0] if self.key_variables else None

    @property
    def needs_key(self) -> bool:
        """Whether it answers nobody without a key, at its own address."""
        return bool(self.key_variables) and not self.base_url.startswith("http://127.0.0.1")
