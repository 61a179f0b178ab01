"""Which models stand in for which, as the settings say."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from nanobot.app import Models, make_models
from nanobot.config import Config, load
from nanobot.core.clock import SystemClock
from nanobot.core.errors import ConfigError
from nanobot.models.fallback import FallbackModel


def made(data: Path, **tables: dict[str, Any]) -> Models:
    config = msgspec.convert({"server": {"data": str(data)}, **tables}, Config)
    return make_models(config, {"OPENAI_API_KEY": "k", "GROQ_API_KEY": "k"}, SystemClock())


def chain_of(models: Models, name: str | None = None) -> list[str]:
    model = models.get(name)
    assert isinstance(model, FallbackModel)
    return [each.name for each in model.models]


def test_presets_and_other_models_stand_in_in_their_order(tmp_path: Path) -> None:
    models = made(
        tmp_path,
        model={"name": "openai:big", "fallback": ["fast", "groq:m", "nanobot:plain"]},
        models={"fast": {"name": "openai:small", "fallback": ["groq:m"]}, "plain": {"name": "echo"}},
    )
    assert chain_of(models) == ["openai:big", "openai:small", "groq:m", "echo"]
    assert chain_of(models, "fast") == ["openai:small", "groq:m"]
    assert models.get("plain").name == "echo"
    assert not isinstance(models.get("plain"), FallbackModel)
    default, fast = models.default, models.get("fast")
    assert isinstance(default, FallbackModel) and isinstance(fast, FallbackModel)
    assert default.models[1:3] == fast.models, "each model is made once"


def test_a_preset_may_have_the_default_models_name_in_its_chain(tmp_path: Path) -> None:
    models = made(
        tmp_path, model={"name": "openai:m"}, models={"fast": {"name": "groq:m", "fallback": ["openai:m"]}}
    )
    assert chain_of(models, "fast") == ["groq:m", "openai:m"]


@pytest.mark.parametrize(
    ("fallback", "message"),
    [
        (["nobody"], "model.fallback: 'nobody' is no preset, and as a model: "),
        (["mistral:m"], "MISTRAL_API_KEY"),
        (["echo", "echo"], "names 'echo' twice"),
        ([f"openai:{number}" for number in range(8)], "names 8 models: at most 7 are allowed"),
    ],
)
def test_a_chain_that_cannot_be_made_is_refused_in_one_line(
    tmp_path: Path, fallback: list[str], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        made(tmp_path, model={"name": "openai:m", "fallback": fallback})
    assert message in caught.value.message
    assert "\n" not in caught.value.message


def test_a_preset_does_not_stand_in_for_itself(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\[models.fast\] fallback names the preset itself"):
        made(
            tmp_path, model={"name": "echo"}, models={"fast": {"name": "echo", "fallback": ["nanobot:fast"]}}
        )


def test_a_chain_can_be_set_in_the_environment() -> None:
    config = load(None, {"NANOBOT_MODEL_FALLBACK": "fast, echo"}, {})
    assert config.model.fallback == ("fast", "echo")
