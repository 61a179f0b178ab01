"""The checks of `nanobot doctor` on the models, and on the address that the server would listen on."""

import os
from collections.abc import AsyncIterator

import aiohttp
import msgspec

from nanobot.app import choose_model, fallback_names, make_model
from nanobot.cli import doctor_local
from nanobot.cli.check_result import CheckResult
from nanobot.cli.listener import bind, refuse_unprotected_host
from nanobot.cli.progress import models_directory
from nanobot.config import Config, ModelTable
from nanobot.core.clock import SystemClock
from nanobot.core.errors import ConfigError, ModelError, ModelRefusedKey
from nanobot.models.providers import ECHO, LOCAL, ModelName, parse_name, provider_of

_HEALTH_TIMEOUT_S = 3.0
_CONNECT_TO = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - compared, not bound
"""Where to reach a server that listens on every address."""


async def examine(config: Config) -> tuple[CheckResult, ...]:
    """Check every model that the settings name, then the address."""
    results = [result async for result in _models(config)]
    results.extend(_access(config))
    results.append(await _port(config.server.host, config.server.port))
    return tuple(results)


async def _models(config: Config) -> AsyncIterator[CheckResult]:
    try:
        choice = choose_model(config, os.environ)
        why = f" ({choice.why}){_then(config.model)}"
        results = await _model(config, "model", choice.name, config.model, why)
    except ConfigError as error:
        results = [CheckResult("model", "fail", error.message)]
    for result in results:
        yield result
    for preset, table in config.models.items():
        for result in await _preset(config, preset, table):
            yield result
    for name in fallback_names(config):
        for result in await _preset(config, name, ModelTable(name=name)):
            yield result


def _then(table: ModelTable) -> str:
    return f", then {', '.join(table.fallback)}" if table.fallback else ""


async def _preset(config: Config, preset: str, table: ModelTable) -> list[CheckResult]:
    if table.name is None:
        remedy = "say which model it is, as name = 'provider:model'"
        return [CheckResult(preset, "fail", f"[models.{preset}] has no name", remedy)]
    try:
        return await _model(config, preset, parse_name(table.name), table, _then(table))
    except ConfigError as error:
        return [CheckResult(preset, "fail", error.message)]


async def _model(
    config: Config, check: str, name: ModelName, table: ModelTable, why: str
) -> list[CheckResult]:
    """Raises ConfigError: the model cannot be set up as configured."""
    if name.provider == ECHO:
        return [CheckResult(check, "ok", f"{name}{why}, which only repeats what it is sent")]
    if name.provider == LOCAL:
        return list(doctor_local.examine(check, str(name), why, models_directory(config)))
    model = make_model(name, table, os.environ, SystemClock(), config.data)
    try:
        await model.check()
    except ModelRefusedKey as error:
        remedy = f"set another key, in {provider_of(name).key_variable} or model.api_key"
        return [CheckResult(check, "fail", f"{name}{why}: {error.message}", remedy)]
    except ModelError as error:
        remedy = "check the network and the address, or choose another with --model"
        return [CheckResult(check, "fail", f"{name}{why}: {error.message}", remedy)]
    finally:
        await model.close()
    return [CheckResult(check, "ok", f"{name}{why}, reached, key accepted")]


def _access(config: Config) -> list[CheckResult]:
    try:
        refuse_unprotected_host(config)
    except ConfigError as error:
        return [CheckResult("access", "fail", error.message)]
    return []


async def _port(host: str, port: int) -> CheckResult:
    try:
        bind(host, port).close()
    except ConfigError as error:
        if await _is_nanobot(host, port):
            return CheckResult("port", "ok", f"a nanobot answers on {host} port {port}")
        return CheckResult("port", "fail", error.message)
    return CheckResult("port", "ok", f"{port} on {host} is free")


async def _is_nanobot(host: str, port: int) -> bool:
    """Return whether what listens there answers `/health` as nanobot does."""
    reachable = _CONNECT_TO.get(host, f"[{host}]" if ":" in host else host)
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_HEALTH_TIMEOUT_S)) as http,
            http.get(f"http://{reachable}:{port}/health") as response,
        ):
            body = msgspec.json.decode(await response.content.read(1024))
            return response.status == 200 and body == {"status": "ok"}
    except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError):
        return False
