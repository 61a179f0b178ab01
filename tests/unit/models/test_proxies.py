"""The environment's proxy for an address."""

import pytest

from nanobot.models.proxies import find_proxy

API = "https://api.example.com/v1"


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({}, None),
        ({"HTTPS_PROXY": ""}, None),
        ({"HTTPS_PROXY": "http://p:1"}, ("http://p:1", "HTTPS_PROXY")),
        ({"https_proxy": "http://p:1", "HTTPS_PROXY": "http://q:1"}, ("http://p:1", "https_proxy")),
        ({"HTTPS_PROXY": "p:3128"}, ("http://p:3128", "HTTPS_PROXY")),
        ({"HTTP_PROXY": "http://p:1"}, None),
        ({"ALL_PROXY": "http://p:1"}, ("http://p:1", "ALL_PROXY")),
        ({"ALL_PROXY": "http://a:1", "HTTPS_PROXY": "http://p:1"}, ("http://p:1", "HTTPS_PROXY")),
    ],
)
def test_the_variable_for_the_scheme_comes_before_the_one_for_all(
    environment: dict[str, str], found: tuple[str, str] | None
) -> None:
    assert find_proxy(API, environment) == found


def test_plain_http_has_a_proxy_of_its_own() -> None:
    environment = {"HTTP_PROXY": "http://p:1", "HTTPS_PROXY": "http://q:1"}
    assert find_proxy("http://api.example.com", environment) == ("http://p:1", "HTTP_PROXY")


@pytest.mark.parametrize(
    ("url", "excepted", "is_direct"),
    [
        (API, "*", True),
        (API, "example.com", True),
        (API, ".example.com", True),
        (API, "*.example.com", True),
        (API, "API.EXAMPLE.COM", True),
        (API, "other.com, api.example.com", True),
        (API, "api.example.com:443", True),
        (API, "api.example.com:8443", False),
        (API, "ample.com", False),
        (API, "other.com", False),
        (API, ",", False),
        ("https://10.1.2.3/v1", "10.0.0.0/8", True),
        ("https://10.1.2.3/v1", "10.1.2.3", True),
        ("https://11.1.2.3/v1", "10.0.0.0/8", False),
        ("https://[fd00::1]/v1", "fd00::/8", True),
        ("https://127.0.0.1:8443/v1", "", True),
        ("https://localhost/v1", "", True),
        ("https://[::1]/v1", "", True),
    ],
)
@pytest.mark.parametrize("variable", ["NO_PROXY", "no_proxy"])
def test_this_machine_and_what_no_proxy_lists_is_reached_directly(
    url: str, excepted: str, is_direct: bool, variable: str
) -> None:
    found = find_proxy(url, {"HTTPS_PROXY": "http://p:1", variable: excepted})
    assert (found is None) == is_direct
