"""The isolation audit's attack on prefix caches finds nothing here, and finds models that share a cache."""

import asyncio
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

import nanobot.agent.turn_requests
import nanobot.app.endpoints
from nanobot.config import Config
from nanobot.context.build import build
from nanobot.core.model import ModelRequest
from nanobot.isolation import testbed
from nanobot.isolation.cache_attack import attack_caches
from nanobot.isolation.caching_provider import PrefixCache
from nanobot.isolation.canaries import Canaries
from nanobot.isolation.client import InspectingClient, Leak, LeakKind
from nanobot.isolation.recording_model import RecordingModel, vaults
from nanobot.isolation.run import isolated_config, serving
from nanobot.isolation.tenants import make_tenants
from nanobot.models.local import model as local_model
from nanobot.models.local import one_pass, routed
from nanobot.models.own_cache import OwnCacheModel

Patch = pytest.MonkeyPatch
SALTED = {"cache-vllm-openai", "cache-vllm-responses"}
UNSALTED = {"cache-openai-openai", "cache-openai-responses"}


async def run_cache_attack() -> Sequence[Leak]:
    """Run the attack on prefix caches alone, without the rest of the audit, and return what it found."""
    rng = random.Random(11)
    canaries = Canaries(rng)
    tenants = make_tenants(3, canaries, rng)
    model = RecordingModel(canaries)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        config = isolated_config(Config(), Path(folder), (each.table() for each in tenants), 3)
        async with (
            serving(config, model, vaults(canaries, {})) as (origin, routes, caching),
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
            asyncio.TaskGroup() as group,
        ):
            client = InspectingClient(http, origin, canaries, refusal_timeout_s=0.3)
            bed = testbed.Testbed(client, canaries, model, routes, group)
            await attack_caches(bed, caching, tenants[:2])
    return client.leaks


async def leaks_of_caches(kind: LeakKind = "cache") -> list[Leak]:
    return [leak for leak in await run_cache_attack() if leak.kind == kind]


async def models_that_tell() -> set[str]:
    return {leak.where.partition(",")[0] for leak in await leaks_of_caches()}


async def test_no_cache_tells_one_session_of_another() -> None:
    assert await leaks_of_caches() == await leaks_of_caches("not seeded") == []


def replace_in_local(monkeypatch: Patch, name: str, value: object) -> None:
    """Replace a function of the salts wherever the local model uses it."""
    for module in (one_pass, routed, local_model):
        if hasattr(module, name):
            monkeypatch.setattr(module, name, value)


async def test_a_local_model_without_salts_is_found_out(monkeypatch: Patch) -> None:
    replace_in_local(monkeypatch, "salt_of", lambda session_hint: "")
    assert await models_that_tell() == {"cache-local"}


async def test_a_local_model_with_one_salt_for_all_sessions_is_found_out(monkeypatch: Patch) -> None:
    replace_in_local(monkeypatch, "salt_of", lambda session_hint: "abcdefghijklmn")
    assert await models_that_tell() == {"cache-local"}


async def test_a_salt_that_stands_behind_what_users_say_is_found_out(monkeypatch: Patch) -> None:
    def salted_late(system: str, shared: str, salt: str) -> str:
        return f"{system}\n\n{salt}"

    replace_in_local(monkeypatch, "salted_system", salted_late)
    found = await leaks_of_caches()
    shapes = {leak.where.partition(", ")[2] for leak in found}
    assert shapes == {"instructions", "response", "tools"}, "what stands in the system prompt"


async def test_requests_without_the_salt_that_the_provider_takes_are_found_out(monkeypatch: Patch) -> None:
    """Although the sessions are told nothing: time tells them."""
    monkeypatch.setattr(nanobot.app.endpoints, "_SALT_FIELD", "")
    found = await leaks_of_caches()
    assert {leak.where.partition(",")[0] for leak in found} == SALTED
    assert any("have no salt" in leak.detail for leak in found)
    assert any("the provider's cache had" in leak.detail for leak in found)
    assert not any("told of" in leak.detail for leak in found)


async def test_sessions_that_share_their_name_at_the_provider_are_found_out(monkeypatch: Patch) -> None:
    def shared(*arguments: Any, **named: Any) -> ModelRequest:
        return msgspec.structs.replace(build(*arguments, **named), session_hint="everybody")

    monkeypatch.setattr(nanobot.agent.turn_requests, "build", shared)
    found = await leaks_of_caches()
    assert {leak.where.partition(",")[0] for leak in found} >= {
        *SALTED,
        "cache-local",
        "cache-openai-responses",
    }
    assert any("have the same salt" in leak.detail for leak in found)
    assert any("have the same cache_key" in leak.detail for leak in found)


async def test_cached_tokens_that_are_passed_on_from_a_cache_of_everybody_are_found_out(
    monkeypatch: Patch,
) -> None:
    monkeypatch.setattr(OwnCacheModel, "_with_own_cache", lambda self, request, answer: answer)
    found = await leaks_of_caches()
    assert {leak.where.partition(",")[0] for leak in found} == UNSALTED
    assert all("told of" in leak.detail for leak in found)


async def test_an_audit_whose_caches_never_hit_proves_nothing_and_fails(monkeypatch: Patch) -> None:
    monkeypatch.setattr(PrefixCache, "read", lambda self, salt, prompt: (len(prompt), 0))
    found = await leaks_of_caches("not seeded")
    assert {leak.where.partition(",")[0] for leak in found} == {*SALTED, *UNSALTED, "cache-local"}
