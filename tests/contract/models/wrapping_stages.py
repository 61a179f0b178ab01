"""Models that wrap another one, in front of the same server."""

from typing import Any

from nanobot.core.model import Model
from nanobot.core.turn import Sampling
from nanobot.models.breaker import Breaker
from nanobot.models.configured import ConfiguredModel
from nanobot.models.fallback import ChainLink, FallbackModel
from nanobot.models.http import ProviderConnection, Timeouts
from nanobot.models.ollama import OllamaModel
from nanobot.models.own_cache import OwnCacheModel
from nanobot.models.refusals import ErrorSource
from tests.clock import PausedClock
from tests.contract.models.remote_stages import OpenAIStage


class FallbackStage(OpenAIStage):
    """A chain of two models, both in front of the same server."""

    async def reset(self) -> None:
        await super().reset()
        # A chain remembers which of its models failed.
        await self._patient.close()
        self.model = self._patient = self._model()

    def _model(self, **options: Any) -> Model:
        clock = PausedClock()
        links = [ChainLink(super(FallbackStage, self)._model(**options), Breaker(clock)) for _ in range(2)]
        return FallbackModel(links, clock, budget_s=600.0)


class ConfiguredStage(OpenAIStage):
    """A model within what its settings say."""

    def _model(self, **options: Any) -> Model:
        return ConfiguredModel(super()._model(**options), Sampling(temperature=0.5), frozenset({"images"}))


class OwnCacheStage(OpenAIStage):
    """A model of whose cache a session is told its own part."""

    def _model(self, **options: Any) -> Model:
        return OwnCacheModel(super()._model(**options))


class OllamaStage(OpenAIStage):
    """A model whose server also has, or lacks, the API that tells its window."""

    def _model(self, **options: Any) -> Model:
        source = ErrorSource("ollama:m", "m", self._upstream.url)
        return OllamaModel(
            super()._model(**options),
            ProviderConnection(source, timeouts=Timeouts(check_s=0.2)),
            model="m",
            base_url=self._upstream.url,
            most_tokens=None,
            clock=PausedClock(),
        )
