"""The models whose prefix cache the audit attacks: each is made as the settings make it, but is asked at a
stand-in on this machine.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import msgspec

from nanobot.app import make_model
from nanobot.app.tools import own_tools
from nanobot.config import Config, ModelTable
from nanobot.context import prompt
from nanobot.core.clock import Clock
from nanobot.core.model import Model
from nanobot.isolation.caching_provider import CachingProvider, StandInEngine
from nanobot.isolation.server import serve_on_free_port
from nanobot.models.local.model import LocalModel
from nanobot.models.providers import SHIPPED, ModelName, Wire

_WARM_TIMEOUT_S = 30.0
_REMOTE: tuple[tuple[str, Wire], ...] = (
    ("vllm", "openai"),
    ("vllm", "responses"),
    ("openai", "openai"),
    ("openai", "responses"),
)
"""The providers, and the formats in which they are asked: some that take salts, and some that do not."""
Separation = Literal["salt on the wire", "salt in the prompt", "none"]
"""What keeps the cache of one session apart from another's. `none`: the provider has nothing for it, so that
nanobot alone can keep quiet about it.
"""


class CachingModel(msgspec.Struct, frozen=True):
    """A model, the provider that answers for it, and the `name` by which requests choose it."""

    name: str
    model: Model
    provider: CachingProvider
    separation: Separation


@contextlib.asynccontextmanager
async def caching_models(data: Path, clock: Clock) -> AsyncIterator[tuple[CachingModel, ...]]:
    """Serve the stand-ins, and yield the models that ask them. Whoever serves the models closes them."""
    async with contextlib.AsyncExitStack() as stack:
        models = []
        for provider_name, wire in _REMOTE:
            provider = CachingProvider()
            url = await stack.enter_async_context(serve_on_free_port(provider))
            models.append(_remote(provider_name, wire, url, provider, clock))
        provider = CachingProvider()
        url = await stack.enter_async_context(serve_on_free_port(provider))
        models.append(await _local(data, f"{url}/v1", provider, clock))
        yield tuple(models)


def _remote(
    provider_name: str, wire: Wire, url: str, provider: CachingProvider, clock: Clock
) -> CachingModel:
    row = SHIPPED[provider_name]
    # Some fields are sent to the provider's own address only: it is asked there, by way of the stand-in.
    base_url = row.base_url.replace("https:", "http:")
    table = ModelTable(base_url=base_url, proxy=url, api_key="audit", wire=wire)
    model = make_model(ModelName(provider_name, "stand-in"), table, Config(), {}, clock)
    separation: Separation = "salt on the wire" if row.salts_cache else "none"
    return CachingModel(f"cache-{provider_name}-{wire}", model, provider, separation)


async def _local(data: Path, base_url: str, provider: CachingProvider, clock: Clock) -> CachingModel:
    weights = data / "stand-in.gguf"
    await asyncio.to_thread(weights.write_bytes, b"GGUF")
    model = LocalModel(
        name=f"local:{weights}",
        models_dir=data,
        log_path=data / "stand-in.log",
        clock=clock,
        random=random.Random(),  # noqa: S311 - ids of tool calls, no secrets
        warm_system=prompt.system(""),
        warm_tools=tuple(tool.spec for tool in own_tools(clock)),
        make_engine=lambda *, warm, **_: StandInEngine(base_url, warm),
    )
    await model.warm()
    async with asyncio.timeout(_WARM_TIMEOUT_S):
        await model.warmed.wait()
    return CachingModel("cache-local", model, provider, "salt in the prompt")
