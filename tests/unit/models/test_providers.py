"""Names of models, and which provider the environment speaks of."""

import pytest

from nanobot.core.errors import ConfigError
from nanobot.models.providers import (
    PROVIDERS,
    DetectedProvider,
    ModelName,
    find_in_environment,
    parse_name,
    provider_of,
)
from nanobot.models.providers.environment import find_unusable


@pytest.mark.parametrize(
    ("text", "provider", "model"),
    [
        ("openai:gpt-5-mini", "openai", "gpt-5-mini"),
        ("openai", "openai", "gpt-6-luna"),
        ("ollama:qwen3:8b", "ollama", "qwen3:8b"),
        ("openrouter:meta/llama-3:free", "openrouter", "meta/llama-3:free"),
        ("  groq:x  ", "groq", "x"),
        ("anthropic:claude-opus-5-5", "anthropic", "claude-opus-5-5"),
        ("anthropic", "anthropic", "claude-haiku-5-5"),
        ("echo", "echo", ""),
        ("local", "local", ""),
        ("local:qwen", "local", "qwen"),
    ],
)
def test_a_name_is_a_provider_and_a_model(text: str, provider: str, model: str) -> None:
    assert parse_name(text) == ModelName(provider, model)


@pytest.mark.parametrize("text", ["openai:gpt-5-mini", "ollama:qwen3:8b", "echo", "local"])
def test_a_name_is_written_as_it_was_read(text: str) -> None:
    assert str(parse_name(text)) == text


@pytest.mark.parametrize("text", ["", ":", "gpt-5-mini", "nobody:x", "OpenAI:x", ":x", "echoes", "locale:x"])
def test_an_unknown_provider_is_told_with_the_value_and_those_there_are(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_name(text)
    message = caught.value.message
    assert f"model {text!r}" in message
    assert all(provider.name in message for provider in PROVIDERS)
    assert "local" in message
    assert "echo" in message
    assert "\n" not in message


def test_a_model_without_its_provider_is_told_with_the_form_to_write() -> None:
    with pytest.raises(ConfigError, match=r"PROVIDER:gpt-5-mini\)"):
        parse_name("gpt-5-mini")


def test_a_model_of_echo_is_refused_for_what_it_is() -> None:
    """Not as an unknown provider: echo is one, and has one model."""
    with pytest.raises(ConfigError) as caught:
        parse_name("echo:loud")
    assert "there is no provider" not in caught.value.message
    assert "echo" in caught.value.message


@pytest.mark.parametrize("name", [provider.name for provider in PROVIDERS if provider.default_model is None])
def test_a_provider_without_a_default_needs_the_model_named(name: str) -> None:
    with pytest.raises(ConfigError, match=f"say which, as {name}:MODEL"):
        parse_name(name)


def test_every_provider_has_an_address_and_a_window() -> None:
    for provider in PROVIDERS:
        assert provider.base_url.startswith(("https://", "http://127.0.0.1"))
        assert not provider.base_url.endswith("/")
        assert provider.context_tokens >= 8_000
        assert provider_of(parse_name(f"{provider.name}:x")) is provider


def test_a_key_sent_over_the_network_is_sent_over_tls() -> None:
    assert all(
        provider.base_url.startswith("https://")
        for provider in PROVIDERS
        if "127.0.0.1" not in provider.base_url
    )


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({"FIREWORKS_API_KEY": "k"}, "FIREWORKS_API_KEY: name a model to use it, as --model fireworks:MODEL"),
        ({"HF_TOKEN": "k"}, "HF_TOKEN: name a model to use it, as --model huggingface:MODEL"),
        ({"OLLAMA_HOST": "box"}, "OLLAMA_HOST: name a model to use it, as --model ollama:MODEL"),
        ({"GROQ_API_KEY": " "}, "GROQ_API_KEY has only white space in it"),
        ({"GITHUB_TOKEN": "k"}, "GITHUB_TOKEN: GitHub Models was shut down on 30 July 2026"),
        (
            {"AZURE_OPENAI_API_KEY": "k", "AZURE_OPENAI_DEPLOYMENT": "d"},
            "AZURE_OPENAI_API_KEY: provider azure: its address has the resource in it; "
            "set AZURE_OPENAI_ENDPOINT or AZURE_API_BASE or AZURE_OPENAI_RESOURCE_NAME "
            "or AZURE_RESOURCE_NAME, "
            "or base_url in the config file",
        ),
        (
            {"AWS_BEARER_TOKEN_BEDROCK": "k"},
            "AWS_BEARER_TOKEN_BEDROCK: provider bedrock: its address has the region in it; "
            "set AWS_REGION or AWS_DEFAULT_REGION, or base_url in the config file",
        ),
        (
            {"AWS_ACCESS_KEY_ID": "k"},
            "AWS_ACCESS_KEY_ID: Bedrock is asked with an API key of its own, AWS_BEARER_TOKEN_BEDROCK",
        ),
        (
            {"AWS_PROFILE": "p", "AWS_ROLE_ARN": "r"},
            "AWS_PROFILE: Bedrock is asked with an API key of its own, AWS_BEARER_TOKEN_BEDROCK",
        ),
        (
            {"GOOGLE_APPLICATION_CREDENTIALS": "/key.json"},
            "GOOGLE_APPLICATION_CREDENTIALS: name a model to use it, as --model vertex:google/MODEL",
        ),
    ],
)
def test_what_was_found_and_chooses_no_model_is_told_with_what_is_missing(
    environment: dict[str, str], line: str
) -> None:
    assert find_in_environment(environment) is None
    assert find_unusable(environment) == (line,)


def test_a_key_that_chooses_a_model_is_not_told() -> None:
    assert find_unusable({"OPENAI_API_KEY": "k", "GOOGLE_API_KEY": "k"}) == ()


def test_azure_is_chosen_where_its_endpoint_and_deployment_are_set() -> None:
    environment = {
        "AZURE_OPENAI_API_KEY": "k",
        "AZURE_OPENAI_ENDPOINT": "https://r.openai.azure.com",
        "AZURE_OPENAI_DEPLOYMENT": "d",
    }
    found = find_in_environment(environment)
    assert found is not None and str(found.model) == "azure:d"


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({}, None),
        ({"PATH": "/bin"}, None),
        ({"OPENAI_API_KEY": "k"}, ("openai:gpt-6-luna", "OPENAI_API_KEY")),
        ({"OPENAI_API_KEY": ""}, None),
        ({"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}, ("openai:gpt-6-luna", "OPENAI_BASE_URL")),
        ({"OPENAI_API_KEY": "k", "OPENAI_MODEL": "gpt-x"}, ("openai:gpt-x", "OPENAI_API_KEY")),
        ({"OPENAI_MODEL": "gpt-x"}, None),
        ({"GROQ_API_KEY": "k"}, ("groq:openai/gpt-oss-120b", "GROQ_API_KEY")),
        ({"GROQ_API_KEY": "k", "OPENAI_API_KEY": "k"}, ("openai:gpt-6-luna", "OPENAI_API_KEY")),
        ({"ANTHROPIC_API_KEY": "k"}, ("anthropic:claude-haiku-5-5", "ANTHROPIC_API_KEY")),
        ({"ANTHROPIC_BASE_URL": "http://127.0.0.1:1"}, ("anthropic:claude-haiku-5-5", "ANTHROPIC_BASE_URL")),
        (
            {"ANTHROPIC_API_KEY": "k", "GROQ_API_KEY": "k"},
            ("anthropic:claude-haiku-5-5", "ANTHROPIC_API_KEY"),
        ),
        ({"OLLAMA_BASE_URL": "http://127.0.0.1:11434/v1"}, None),
        ({"VLLM_API_KEY": "k", "MISTRAL_API_KEY": "k"}, ("mistral:mistral-small-latest", "MISTRAL_API_KEY")),
    ],
)
def test_the_first_provider_that_the_environment_speaks_of_and_that_has_a_model_is_found(
    environment: dict[str, str], found: tuple[str, str] | None
) -> None:
    assert find_in_environment(environment) == (
        DetectedProvider(parse_name(found[0]), found[1]) if found else None
    )
