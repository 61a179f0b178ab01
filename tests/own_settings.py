"""What whoever runs the tests has set for clients of OpenAI: it must not change what a test sees."""

import pytest

_VARIABLES = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
)


def forget_own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the proxies, the key and the address of the environment away."""
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
