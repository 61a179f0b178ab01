"""The models that the suite runs on, each with a provider behind it that answers and fails on demand."""

from collections.abc import Callable, Mapping

from tests.contract.models.local_stages import EchoStage, EngineStage, LocalStage, ScriptedStage
from tests.contract.models.remote_stages import AnthropicStage, GeminiStage, OpenAIStage, ResponsesStage
from tests.contract.models.stage import Stage
from tests.contract.models.wrapping_stages import ConfiguredStage, FallbackStage, OllamaStage, OwnCacheStage

STAGES: Mapping[str, Callable[[], Stage]] = {
    "openai": OpenAIStage,
    "fallback": FallbackStage,
    "configured": ConfiguredStage,
    "own cache": OwnCacheStage,
    "ollama": OllamaStage,
    "responses": ResponsesStage,
    "anthropic": AnthropicStage,
    "gemini": GeminiStage,
    "local": LocalStage,
    "engine": EngineStage,
    "echo": EchoStage,
    "scripted": ScriptedStage,
}
