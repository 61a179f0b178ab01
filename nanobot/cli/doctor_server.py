"""The checks of `nanobot doctor` on the models, and on the address that the server would listen on."""

import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import aiohttp
import msgspec

from nanobot.app import (
    choose_model,
    fallback_names,
    known_providers,
    make_model,
    passed_over,
    weights_directory,
)
from nanobot.cli import doctor_local
from nanobot.cli.check_result import CheckResult
from nanobot.cli.listener import bind, connect_to, refuse_unprotected_host, refuse_weak_key
from nanobot.cli.options import placed
from nanobot.config import Config, EndpointFields, ModelTable
from nanobot.core.clock import SystemClock
from nanobot.core.errors import (
    ConfigError,
    ModelError,
    ModelMisconfigured,
    ModelRefusedKey,
    ModelRejectedRequest,
)
from nanobot.core.message import Message, Text
from nanobot.core.model import Model, ModelRequest
from nanobot.core.turn import Sampling
from nanobot.models.providers import ECHO, LOCAL, ModelName, parse_name
from nanobot.models.providers.environment import find_key, find_unusable

_HEALTH_TIMEOUT_S = 3.0
_LONGER_LIMIT_TOKENS = 16


async def examine(config: Config, *, asks: bool = False) -> tuple[CheckResult, ...]:
    """Check every model that the settings name, then the address. `asks`: models are asked for a token."""
    look = ask_for_token if asks else reach
    results = [result async for result in _models(config, look)]
    results.extend(_access(config))
    results.append(await _port(config.server.host, config.server.port))
    return tuple(results)


Look = Callable[[Model], Awaitable[None]]
"""Returns where a model is fit to answer, and raises the `ModelError` why not."""


async def reach(model: Model) -> None:
    """Return when the model can be reached, and its key is accepted.

    Raises:
        ModelError: it cannot.
    """
    await model.check()


async def ask_for_token(model: Model) -> None:
    """Return when the model has answered with a token.

    Raises:
        ModelError: it has not.
    """
    await model.check()
    try:
        await _ask(model, 1)
    except ModelRejectedRequest:
        # Some want a longer limit than one token, to think.
        await _ask(model, _LONGER_LIMIT_TOKENS)


async def _ask(model: Model, max_tokens: int) -> None:
    request = ModelRequest(
        system="",
        messages=(Message("user", (Text("Say ok."),)),),
        sampling=Sampling(max_output_tokens=max_tokens),
    )
    async with contextlib.aclosing(model.stream(request)) as answer:
        async for _ in answer:
            return


async def _models(config: Config, look: Look) -> AsyncIterator[CheckResult]:
    try:
        choice = choose_model(config, os.environ)
        why = f" ({choice.why}){_then(config.model)}"
        results = await _model(config, "model", choice.name, config.model, why, look)
        results.extend(
            CheckResult("key", "warn", f"not used: {line}") for line in passed_over(config, os.environ)
        )
        if choice.name.provider == LOCAL and config.model.name is None:
            results.extend(_unused(config))
    except ConfigError as error:
        results = [CheckResult("model", "fail", placed(error))]
    for result in results:
        yield result
    for preset, table in config.models.items():
        for result in await _preset(config, preset, table, look):
            yield result
    for name in fallback_names(config):
        for result in await _preset(config, name, ModelTable(name=name), look):
            yield result


def _then(table: ModelTable) -> str:
    return f", then {', '.join(table.fallback)}" if table.fallback else ""


def _unused(config: Config) -> Iterator[CheckResult]:
    for line in find_unusable(os.environ, known_providers(config)):
        yield CheckResult("key", "warn", f"not used: {line}")


async def _preset(config: Config, preset: str, table: ModelTable, look: Look) -> list[CheckResult]:
    if table.name is None:
        remedy = "say which model it is, as name = 'provider:model'"
        return [CheckResult(preset, "fail", f"[models.{preset}] has no name", remedy)]
    try:
        name = parse_name(table.name, known_providers(config))
        return await _model(config, preset, name, table, _then(table), look)
    except ConfigError as error:
        return [CheckResult(preset, "fail", placed(error))]


async def _model(
    config: Config, check: str, name: ModelName, table: ModelTable, why: str, look: Look
) -> list[CheckResult]:
    """Raises ConfigError: the model cannot be set up as configured."""
    if name.provider == ECHO:
        return [CheckResult(check, "ok", f"{name}{why}, which only repeats what it is sent")]
    if name.provider == LOCAL:
        return list(doctor_local.examine(check, str(name), why, weights_directory(config, str(name))))
    model = make_model(name, table, config, os.environ, SystemClock())
    try:
        await look(model)
    except ModelError as error:
        remedy = _remedy(config, check, name, table, error)
        return [CheckResult(check, "fail", f"{name}{why}: {error.message}", remedy)]
    finally:
        await model.close()
    done = "answered" if look is ask_for_token else "reached, key accepted"
    return [CheckResult(check, "ok", f"{name}{why}, {done}")]


def _remedy(config: Config, check: str, name: ModelName, table: ModelTable, error: ModelError) -> str:
    """`check`: the name of the check, which is that of the model's preset."""
    if isinstance(error, ModelRefusedKey):
        own = "model" if check == "model" else f"models.{check}"
        return _other_key(config, own, name, table)
    if isinstance(error, ModelMisconfigured):
        return "name another model with --model or in model.name, or correct its address"
    return "check the network and the address, or choose another with --model"


def _other_key(config: Config, own: str, name: ModelName, table: ModelTable) -> str:
    """Return where to set another key for the model, whose table is called `own`."""
    variable = known_providers(config)[name.provider].key_variable
    place = _place_of_key(config, own, name, table)
    if place is not None:
        return f"set another key in {place}" + (f", or remove it and set {variable}" if variable else "")
    found = find_key(known_providers(config)[name.provider], os.environ)
    if found is not None:
        return f"set another key in {found.variable}"
    return f"set a key in {f'{variable} or ' if variable else ''}api_key of [providers.{name.provider}]"


def _place_of_key(config: Config, own: str, name: ModelName, table: ModelTable) -> str | None:
    """Return which setting the model's key comes from; None where it comes from none."""
    tables: tuple[tuple[str, EndpointFields | None], ...] = (
        (own, table),
        (f"providers.{name.provider}", config.providers.get(name.provider)),
    )
    for where, fields in tables:
        if fields is None:
            continue
        if fields.api_key or fields.api_keys:
            return f"{'api_key' if fields.api_key else 'api_keys'} of [{where}]"
        if fields.key_variable:
            return f"{fields.key_variable} (key_variable of [{where}])"
        if fields.key_command:
            return f"key_command of [{where}]"
    return None


def _access(config: Config) -> list[CheckResult]:
    try:
        refuse_unprotected_host(config)
    except ConfigError as error:
        return [CheckResult("access", "fail", placed(error))]
    try:
        refuse_weak_key(config)
    except ConfigError as error:
        return [CheckResult("weak key", "fail", placed(error))]
    return []


async def _port(host: str, port: int) -> CheckResult:
    try:
        bind(host, port).close()
    except ConfigError as error:
        # One after the other: a server that has answered would log a handshake as an invalid request.
        for scheme in ("http", "https"):
            if await _is_nanobot(f"{scheme}://{connect_to(host)}:{port}/health"):
                return CheckResult("port", "ok", f"a nanobot answers on {host} port {port}")
        return CheckResult("port", "fail", error.message)
    return CheckResult("port", "ok", f"{port} on {host} is free")


async def _is_nanobot(url: str) -> bool:
    """Return whether `url` is answered as nanobot answers `/health`, whatever its certificate."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_HEALTH_TIMEOUT_S)) as http,
            http.get(url, ssl=False) as response,
        ):
            body = msgspec.json.decode(await response.content.read(1024))
            return response.status == 200 and body == {"status": "ok"}
    except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError):
        return False
