from pathlib import Path

import pytest

from nanobot.cli.unused_keys import tell_unused
from nanobot.config import Config, ModelTable, ProviderTable, ServerTable

FOUND = {"FIREWORKS_API_KEY": "sk-canary", "AWS_ACCESS_KEY_ID": "canary"}


def test_a_start_with_the_small_model_says_which_keys_it_found_and_why_it_does_not_use_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tell_unused(Config(server=ServerTable(data=str(tmp_path))), FOUND)
    out, err = capsys.readouterr()
    assert out == "" and "canary" not in err
    assert [line.split(": ")[:3] for line in err.splitlines()] == [
        ["note", "not used", "FIREWORKS_API_KEY"],
        ["note", "not used", "AWS_ACCESS_KEY_ID"],
    ]


@pytest.mark.parametrize(
    ("model", "environment"), [("echo", FOUND), (None, {**FOUND, "GROQ_API_KEY": "k"}), (None, {})]
)
def test_a_start_with_another_model_says_nothing(
    model: str | None, environment: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tell_unused(Config(server=ServerTable(data=str(tmp_path)), model=ModelTable(name=model)), environment)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("table", "environment", "told"),
    [
        (
            ProviderTable(default_model="m"),
            {},
            "[providers.openai] has no key: set OPENAI_API_KEY, or providers.openai.api_key in ",
        ),
        (
            ProviderTable(default_model="m", key_variable="TEAM"),
            {},
            "[providers.openai] has no key: set TEAM, or ",
        ),
        (ProviderTable(default_model="m"), {"GROQ_API_KEY": "k"}, "[providers.openai] has no key"),
        (
            ProviderTable(api_key="sk-canary"),
            {},
            "[providers.openai] has a key, and nothing says which of its ",
        ),
    ],
)
def test_a_start_says_which_provider_of_the_settings_is_passed_over(
    table: ProviderTable,
    environment: dict[str, str],
    told: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = Config(server=ServerTable(data=str(tmp_path)), providers={"openai": table})
    tell_unused(config, environment)
    err = capsys.readouterr().err
    assert err.startswith(f"note: not used: {told}") and "canary" not in err


@pytest.mark.parametrize(
    ("table", "environment"),
    [
        (ProviderTable(default_model="m"), {"OPENAI_API_KEY": "k"}),
        (ProviderTable(default_model="m", api_key="k"), {}),
        (ProviderTable(proxy="none"), {}),
    ],
)
def test_a_start_says_nothing_of_a_provider_that_has_what_it_needs(
    table: ProviderTable, environment: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = Config(server=ServerTable(data=str(tmp_path)), providers={"openai": table})
    tell_unused(config, environment)
    assert capsys.readouterr().err == ""
