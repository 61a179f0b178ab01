"""Where and how a model is asked: settings, provider and environment together."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from nanobot.app import choose_model, known_providers
from nanobot.app.endpoints import ProviderAccess, find_access, parse_auth
from nanobot.config import Config, EndpointFields, ModelTable
from nanobot.core.errors import ConfigError
from nanobot.models.address import KeyHeader
from nanobot.models.keys import KeyCommand, KeyRotation
from nanobot.models.providers import parse_name
from nanobot.testing import FakeClock
from tests.certificate import certificate


def access(name: str, environment: dict[str, str], **fields: Any) -> ProviderAccess:
    model = parse_name(name)
    provider = known_providers(Config())[model.provider]
    return find_access(model, provider, EndpointFields(**fields), environment, FakeClock())


def settings(**tables: Any) -> Config:
    return msgspec.convert(tables, Config)


# Addresses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "environment", "base_url"),
    [
        ("openai:m", {"OPENAI_API_KEY": "k"}, "https://api.openai.com/v1"),
        ("openai:m", {"OPENAI_API_BASE": "http://x/v1"}, "http://x/v1"),
        ("openai:m", {"OPENAI_BASE_URL": "http://y/v1", "OPENAI_API_BASE": "http://x/v1"}, "http://y/v1"),
        ("ollama:m", {}, "http://127.0.0.1:11434/v1"),
        ("ollama:m", {"OLLAMA_HOST": "0.0.0.0"}, "http://127.0.0.1:11434/v1"),
        ("ollama:m", {"OLLAMA_HOST": "0.0.0.0:8080"}, "http://127.0.0.1:8080/v1"),
        ("ollama:m", {"OLLAMA_HOST": ":8080"}, "http://127.0.0.1:8080/v1"),
        ("ollama:m", {"OLLAMA_HOST": "box"}, "http://box:11434/v1"),
        ("ollama:m", {"OLLAMA_HOST": "https://box.example"}, "https://box.example/v1"),
        ("ollama:m", {"OLLAMA_HOST": "http://box:1/"}, "http://box:1/v1"),
        ("ollama:m", {"OLLAMA_BASE_URL": "http://box:1/v1"}, "http://box:1/v1"),
        ("ollama:m", {"OLLAMA_HOST": "[::]:8080"}, "http://127.0.0.1:8080/v1"),
        (
            "azure:m",
            {"AZURE_OPENAI_API_KEY": "k", "AZURE_OPENAI_ENDPOINT": "https://r.openai.azure.com/"},
            "https://r.openai.azure.com/openai/v1",
        ),
        (
            "azure:m",
            {"AZURE_OPENAI_API_KEY": "k", "AZURE_RESOURCE_NAME": "r"},
            "https://r.openai.azure.com/openai/v1",
        ),
        (
            "bedrock:m",
            {"AWS_BEARER_TOKEN_BEDROCK": "k", "AWS_REGION": "eu-west-1"},
            "https://bedrock-runtime.eu-west-1.amazonaws.com/openai/v1",
        ),
        (
            "vertex:google/m",
            {"GOOGLE_CLOUD_PROJECT": "p"},
            "https://aiplatform.googleapis.com/v1/projects/p/locations/global/endpoints/openapi",
        ),
        (
            "vertex:google/m",
            {"GOOGLE_CLOUD_PROJECT": "p", "GOOGLE_CLOUD_LOCATION": "europe-west4"},
            "https://europe-west4-aiplatform.googleapis.com/v1/projects/p/locations/europe-west4"
            "/endpoints/openapi",
        ),
    ],
)
def test_the_address_is_the_one_that_the_providers_users_have_in_the_environment(
    name: str, environment: dict[str, str], base_url: str
) -> None:
    assert access(name, environment).base_url == base_url


@pytest.mark.parametrize(
    ("name", "environment", "wanted"),
    [
        ("azure:m", {"AZURE_OPENAI_API_KEY": "k"}, "AZURE_OPENAI_ENDPOINT"),
        ("bedrock:m", {"AWS_BEARER_TOKEN_BEDROCK": "k"}, "AWS_REGION"),
        ("bedrock:m", {"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "a"}, "AWS_BEARER_TOKEN_BEDROCK"),
        ("vertex:m", {}, "GOOGLE_CLOUD_PROJECT"),
        ("openai:m", {}, "OPENAI_API_KEY"),
        ("openai:m", {"OPENAI_API_KEY": "  "}, "OPENAI_API_KEY"),
        ("github:m", {"GITHUB_TOKEN": "k"}, "shut down on 30 July 2026"),
        ("openai:m", {"OPENAI_BASE_URL": "http://[::1"}, "not a URL"),
        ("openai:m", {"OPENAI_BASE_URL": "http://h:99999", "ALL_PROXY": "http://p"}, "not a URL"),
        ("gemini:m", {"GEMINI_BASE_URL": "https://[x/v1beta"}, "not a URL"),
    ],
)
def test_what_is_missing_is_named(name: str, environment: dict[str, str], wanted: str) -> None:
    with pytest.raises(ConfigError, match=wanted):
        access(name, environment)


# Keys ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "environment", "key", "header"),
    [
        ("anthropic:m", {"ANTHROPIC_API_KEY": "k"}, "k", KeyHeader("x-api-key")),
        (
            "anthropic:m",
            {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_AUTH_TOKEN": "t"},
            "t",
            KeyHeader("Authorization", "Bearer "),
        ),
        ("gemini:m", {"GOOGLE_API_KEY": "k"}, "k", KeyHeader("x-goog-api-key")),
        (
            "gemini:m",
            {"GEMINI_API_KEY": " k\n", "GEMINI_BASE_URL": "https://x/v1beta/openai"},
            "k",
            KeyHeader("Authorization", "Bearer "),
        ),
        (
            "azure:m",
            {"AZURE_API_KEY": "k", "AZURE_RESOURCE_NAME": "r"},
            "k",
            KeyHeader("api-key"),
        ),
    ],
)
def test_the_key_is_the_one_in_the_environment_and_goes_as_the_provider_wants_it(
    name: str, environment: dict[str, str], key: str, header: KeyHeader
) -> None:
    found = access(name, environment)
    assert (found.api_key, found.auth) == (key, header)


def test_a_setting_of_the_key_takes_precedence_over_the_environment() -> None:
    environment = {"OPENAI_API_KEY": "k", "TEAM_KEY": "t"}
    assert access("openai:m", environment, api_key="own").api_key == "own"
    assert access("openai:m", environment, key_variable="TEAM_KEY").api_key == "t"
    command = access("openai:m", environment, key_command="print-a-key")
    assert command.api_key is None and isinstance(command.transport.keys, KeyCommand)
    assert access("openai:m", environment, auth="none").api_key is None


def test_several_keys_are_rotated_and_the_same_one_twice_is_one() -> None:
    several = access("openai:m", {}, api_key="one", api_keys=("two", "one"))
    assert isinstance(several.transport.keys, KeyRotation)
    assert tuple(several.transport.keys.secrets) == ("one", "two")
    assert access("openai:m", {}, api_keys=("one", "one")).api_key == "one"


def test_a_variable_that_is_named_and_not_set_is_told() -> None:
    with pytest.raises(ConfigError, match="TEAM_KEY"):
        access("openai:m", {"OPENAI_API_KEY": "k"}, key_variable="TEAM_KEY")


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("bearer", KeyHeader("Authorization", "Bearer ")),
        ("x-api-key", KeyHeader("x-api-key")),
        ("Authorization Token", KeyHeader("Authorization", "Token ")),
    ],
)
def test_how_a_key_is_sent_is_a_header_with_what_stands_before_it(text: str, header: KeyHeader) -> None:
    assert parse_auth(text) == header


@pytest.mark.parametrize("text", ["", "x-api-key:", "x-api-key a\tb", "content-type", "a\nb"])
def test_what_is_no_header_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="auth is"):
        parse_auth(text)


# Headers, proxy, certificates ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers", [{"a b": "x"}, {"Content-Length": "1"}, {"host": "x"}, {"X-A": "a\r\nb"}, {"X-A": "ä"}]
)
def test_a_header_that_cannot_be_sent_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="header"):
        access("openai:m", {"OPENAI_API_KEY": "k"}, headers=headers)


def test_headers_whose_values_the_environment_has_are_sent_unless_the_settings_say_otherwise() -> None:
    environment = {"OPENAI_API_KEY": "k", "OPENAI_ORG_ID": "org-1"}
    assert access("openai:m", environment).transport.headers == {"OpenAI-Organization": "org-1"}
    own = access("openai:m", environment, headers={"OpenAI-Organization": "org-2"})
    assert own.transport.headers == {"OpenAI-Organization": "org-2"}


def test_the_proxy_is_the_configured_one_else_the_environments() -> None:
    environment = {"OPENAI_API_KEY": "k", "HTTPS_PROXY": "http://env:1"}
    assert access("openai:m", environment).transport.proxy == "http://env:1"
    assert access("openai:m", environment, proxy="http://own:1").transport.proxy == "http://own:1"
    assert access("openai:m", environment, proxy="none").transport.proxy is None


@pytest.mark.parametrize(
    ("variable", "proxy"), [("HTTPS_PROXY", "socks5://u:secret@p:1"), ("ALL_PROXY", "ftp://p")]
)
def test_a_proxy_that_is_none_of_http_is_told_by_its_variable_without_its_password(
    variable: str, proxy: str
) -> None:
    with pytest.raises(ConfigError, match=variable) as caught:
        access("openai:m", {"OPENAI_API_KEY": "k", variable: proxy})
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_certificates_of_the_environment_are_trusted_where_the_address_is_https(
    variable: str, tmp_path: Path
) -> None:
    file, _ = certificate(tmp_path, "localhost")
    environment = {"OPENAI_API_KEY": "k", variable: str(file)}
    assert access("openai:m", environment).transport.ca_file == str(file)
    plain = {**environment, "OPENAI_BASE_URL": "http://x/v1"}
    assert access("openai:m", plain).transport.ca_file is None


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_certificates_that_cannot_be_read_are_told_at_the_start(content: str | None, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match=r"ca_file: .*ca\.pem"):
        access("openai:m", {"OPENAI_API_KEY": "k"}, ca_file=str(file))
    with pytest.raises(ConfigError, match="no path of a file"):
        access("openai:m", {"OPENAI_API_KEY": "k"}, ca_file="\0")


# Providers of the settings ------------------------------------------------------------------------


def test_a_provider_of_the_settings_has_models_and_may_be_the_default() -> None:
    config = settings(
        providers={"work": {"base_url": "https://x/v1", "key_variable": "WORK_KEY", "default_model": "large"}}
    )
    providers = known_providers(config)
    assert str(parse_name("work", providers)) == "work:large"
    assert str(choose_model(config, {"WORK_KEY": "k"}).name) == "work:large"
    assert str(choose_model(config, {}).name) == "local"


def test_a_setting_of_the_provider_holds_for_its_models_unless_they_say_otherwise() -> None:
    lower = EndpointFields(
        api_key="p", proxy="http://p:1", headers={"A": "1", "B": "1"}, body={"x": 1}, images="no", top_p=0.5
    )
    table = ModelTable(key_variable="OWN", headers={"B": "2"}, body={"y": 2}, temperature=0.0)
    over = table.over(lower)
    assert over.headers == {"A": "1", "B": "2"} and over.body == {"x": 1, "y": 2}
    assert (over.api_key, over.key_variable, over.proxy) == (None, "OWN", "http://p:1")
    assert (over.images, over.temperature, over.top_p) == ("no", 0.0, 0.5)


@pytest.mark.parametrize(
    ("name", "table", "reason"),
    [
        ("work", {}, "has no base_url"),
        ("echo", {"base_url": "http://x"}, "name of a provider"),
        ("a:b", {"base_url": "http://x"}, "name of a provider"),
    ],
)
def test_a_provider_that_cannot_be_used_is_told(name: str, table: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        known_providers(settings(providers={name: table}))


@pytest.mark.parametrize(
    "address", ['"https://api.example.com/v1"', "api.example.com/v1", "ftp://x/v1", "http://me:hidden@h/v1"]
)
def test_an_address_that_is_none_is_refused_with_where_it_was_set(address: str) -> None:
    with pytest.raises(ConfigError, match=r"\AOPENAI_BASE_URL: ") as caught:
        access("openai:m", {"OPENAI_BASE_URL": address})
    assert "hidden" not in caught.value.message
    with pytest.raises(ConfigError, match=r"\Amodel\.base_url: ") as caught:
        access("openai:m", {"OPENAI_BASE_URL": "http://h/v1"}, base_url=address)
    assert "hidden" not in caught.value.message
