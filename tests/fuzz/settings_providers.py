"""Settings of providers and models, and the models that are made from them."""

import asyncio
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from nanobot.app import make_models
from nanobot.config import Config, ProviderTable
from nanobot.core.errors import ConfigError, ModelUnavailable
from nanobot.models.providers import SHIPPED
from nanobot.testing import FakeClock
from tests.fuzz.target import drawn

_SECRET = "sk-0123456789"
_WORDS = [
    "", " ", "none", "auto", "no", "bearer", "x-api-key", "Authorization Bearer", "openai", "responses",
    "gemini", "anthropic", "high", "m", "x:m", "nanobot:fast", "local", "echo", "http://127.0.0.1:9/v1",
    "https://a.example/v1/chat/completions", "http://u:p@a.example", "http://[::1", "http://a:99999/v1",
    "//x", "{resource}", "socks5://a:1", "sh -c 'echo k'", "'", _SECRET, "k\n", "\0", "é", "9" * 40,
]  # fmt: skip
_text = st.sampled_from(_WORDS) | st.text(max_size=6)
_value = (
    _text
    | st.integers(-2, 5000)
    | st.floats(0, 2)
    | st.lists(_text, max_size=3)
    | st.dictionaries(_text, _text | st.floats() | st.lists(st.floats(), max_size=2), max_size=2)
)
_fields = st.dictionaries(
    st.sampled_from((*ProviderTable.__struct_fields__, "name", "fallback", "price")), _value, max_size=5
)
_names = st.sampled_from(
    ("x", "openai", "gemini", "azure", "vertex", "ollama", "anthropic", "a.b", "é", "local")
)
_variables = sorted(
    {
        variable
        for provider in SHIPPED.values()
        for variable in (
            *provider.key_variables,
            *provider.token_variables,
            *provider.base_url_variables,
            *provider.host_variables,
            *provider.model_variables,
            *(variable for blank in provider.blanks.values() for variable in blank.variables),
        )
    }
    | {"HTTPS_PROXY", "http_proxy", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "AWS_ACCESS_KEY_ID"}
)


@given(
    st.dictionaries(_names, _fields, max_size=2),
    _fields,
    st.dictionaries(st.sampled_from(("fast", "x")), _fields, max_size=2),
    st.dictionaries(st.sampled_from(_variables), _text, max_size=4),
)
def _make(
    providers: dict[str, dict[str, Any]],
    model: dict[str, Any],
    models: dict[str, dict[str, Any]],
    environment: dict[str, str],
) -> None:
    try:
        config = msgspec.convert({"providers": providers, "model": model, "models": models}, Config)
    except msgspec.ValidationError:
        return
    try:
        made = make_models(config, environment, FakeClock())
    except ConfigError as error:
        assert error.message
        assert "\n" not in error.message, f"an error of more than one line: {error.message!r}"
        told = str((_told(config), environment))
        assert _SECRET not in error.message or _SECRET in told, f"a secret: {error.message!r}"
        return
    except ModelUnavailable:
        # The weights of a model on this machine are not there.
        return
    asyncio.run(made.close())


def _told(config: Config) -> list[object]:
    """Return the settings that are no secrets, and may stand in an error."""
    tables = (config.model, *config.models.values(), *config.providers.values())
    secrets = {"api_key", "api_keys", "headers", "proxy"}
    return [
        *config.providers,
        *(
            getattr(table, field)
            for table in tables
            for field in table.__struct_fields__
            if field not in secrets
        ),
    ]


TARGETS = (drawn("settings-providers", _make),)
