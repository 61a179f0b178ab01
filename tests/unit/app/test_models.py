"""The composition root: which model answers, and what is missing for it."""

import importlib.util
from pathlib import Path
from typing import Literal

import pytest

from nanobot.app import (
    better_weights,
    choose_model,
    is_loopback,
    make_model,
    missing_weights,
    reads_examples_first,
    weights_directory,
)
from nanobot.config import Config, LocalTable, ModelTable, ServerTable
from nanobot.core.clock import SystemClock
from nanobot.core.errors import ConfigError
from nanobot.models.gemini.generate import GeminiContent
from nanobot.models.openai.chat import OpenAIChat
from nanobot.models.own_cache import OwnCacheModel
from nanobot.models.providers import parse_name
from nanobot.models.weights.installed import KNOWN, PREFIXES, write_note
from nanobot.models.weights.machine import Machine


def configured(data: Path, model: str | None = None) -> Config:
    return Config(
        server=ServerTable(data=str(data)),
        model=ModelTable(name=model),
        local=LocalTable(models_dir=str(data / "models")),
    )


@pytest.mark.parametrize(
    ("model", "environment", "chosen", "why"),
    [
        ("echo", {"OPENAI_API_KEY": "k"}, "echo", "as configured"),
        (None, {"OPENAI_API_KEY": "k"}, "openai:gpt-6-luna", "found OPENAI_API_KEY in the environment"),
        (
            None,
            {"OPENAI_BASE_URL": "http://x", "OPENAI_MODEL": "m"},
            "openai:m",
            "found OPENAI_BASE_URL in the environment",
        ),
        (
            None,
            {"MISTRAL_API_KEY": "k"},
            "mistral:mistral-small-latest",
            "found MISTRAL_API_KEY in the environment",
        ),
        (
            None,
            {"ANTHROPIC_API_KEY": "k"},
            "anthropic:claude-haiku-5-5",
            "found ANTHROPIC_API_KEY in the environment",
        ),
        (None, {}, "local", "no model or provider key is configured: the small model on this machine"),
    ],
)
def test_the_model_is_the_configured_one_else_a_providers_whose_key_is_there_else_the_local_one(
    tmp_path: Path, model: str | None, environment: dict[str, str], chosen: str, why: str
) -> None:
    choice = choose_model(configured(tmp_path, model), environment)
    assert (str(choice.name), choice.why) == (chosen, why)


@pytest.mark.parametrize(
    ("model", "audio", "hears"),
    [
        ("openai:gpt-5-mini", "auto", True),
        ("deepseek", "auto", False),
        ("ollama:qwen3", "yes", True),
        ("openai:gpt-5-mini", "no", False),
        ("anthropic", "yes", False),
        ("gemini", "auto", True),
        ("echo", "yes", False),
    ],
)
def test_a_model_takes_audio_where_its_provider_passes_it_on_or_the_settings_say_so(
    tmp_path: Path, model: str, audio: Literal["auto", "yes", "no"], hears: bool
) -> None:
    keys = ("OPENAI_API_KEY", "DEEPSEEK_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY")
    environment = dict.fromkeys(keys, "k")
    config = configured(tmp_path)
    made = make_model(parse_name(model), ModelTable(audio=audio), config, environment, SystemClock())
    assert ("audio" in made.abilities) == hears


@pytest.mark.parametrize(
    ("base_url", "kind"),
    [
        (None, GeminiContent),
        ("https://generativelanguage.googleapis.com", GeminiContent),
        ("https://generativelanguage.googleapis.com/v1beta/", GeminiContent),
        ("https://proxy.example/v1beta/models", GeminiContent),
        ("https://generativelanguage.googleapis.com/v1beta/openai/", OpenAIChat),
        ("https://proxy.example/v1beta/openai/chat/completions?a=/v1beta", OpenAIChat),
        ("https://proxy.example/v1", OpenAIChat),
    ],
)
def test_gemini_speaks_its_own_format_but_at_addresses_that_speak_openais(
    tmp_path: Path, base_url: str | None, kind: type
) -> None:
    table = ModelTable(base_url=base_url, api_key="k")
    made = make_model(parse_name("gemini:gemini-3-flash"), table, configured(tmp_path), {}, SystemClock())
    assert isinstance(made, OwnCacheModel)
    assert type(made.inner) is kind


def test_without_the_engine_nothing_is_fetched_and_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r'pip install .*"nanobot-server\[local\]"'):
        missing_weights(configured(tmp_path), {})
    assert missing_weights(configured(tmp_path, "echo"), {}) == ()


def test_weights_that_are_not_here_are_missing(tmp_path: Path) -> None:
    assert missing_weights(configured(tmp_path, "local:tiny"), {}) == ("local:tiny",)


@pytest.mark.parametrize(
    ("host", "is_own"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("127.0.0.1.example.com", False),
    ],
)
def test_loopback_is_what_only_this_machine_can_reach(host: str, is_own: bool) -> None:
    assert is_loopback(host) == is_own


@pytest.mark.parametrize(
    ("free_gb", "cores", "name", "offered"),
    [
        (16, 8, None, "local:good"),
        (16, 2, None, None),
        (2, 8, None, None),
        (16, 8, "local", None),
        (16, 8, "echo", None),
    ],
)
def test_better_weights_are_offered_to_those_who_have_chosen_none_and_have_room(
    free_gb: int, cores: int, name: str | None, offered: str | None
) -> None:
    config = Config(model=ModelTable(name=name))
    chosen = choose_model(config, {}).name
    better = better_weights(config, chosen, Machine(free_gb * 10**9, cores))
    assert (better.name if better is not None else None) == offered


def test_the_first_answer_is_told_to_take_long_until_the_examples_have_been_read_once(tmp_path: Path) -> None:
    config = Config(
        server=ServerTable(data=str(tmp_path / "data")), local=LocalTable(models_dir=str(tmp_path / "users"))
    )
    assert reads_examples_first(config, "local") and reads_examples_first(config, "local:tiny")
    assert not reads_examples_first(config, "local:good")
    assert not reads_examples_first(config, "openai:gpt-5-mini")
    (tmp_path / "users" / PREFIXES).mkdir(parents=True)
    (tmp_path / "users" / PREFIXES / "prefix-0123.slot").touch()
    assert not reads_examples_first(config, "local")


def test_weights_are_in_the_folder_of_the_user_unless_the_data_directory_has_them(tmp_path: Path) -> None:
    config = Config(
        server=ServerTable(data=str(tmp_path / "data")), local=LocalTable(models_dir=str(tmp_path / "users"))
    )
    assert weights_directory(config, "local:tiny") == tmp_path / "users"
    (tiny,) = (weights for weights in KNOWN if weights.name == "local:tiny")
    path = tmp_path / "data" / "models" / tiny.file
    path.parent.mkdir(parents=True)
    path.write_bytes(b"GGUF")
    write_note(path, tiny)
    assert weights_directory(config, "local:tiny") == path.parent
    assert weights_directory(config, "local") == tmp_path / "users"
