"""What `nanobot doctor` finds of the models and of the place where the server listens."""

import os

import aiohttp
import msgspec

from nanobot.app import choose_model, make_model
from nanobot.cli import doctor_local
from nanobot.cli.finding import Finding
from nanobot.cli.progress import models_directory
from nanobot.cli.serve import bind, refuse_open_door
from nanobot.config import Config, ModelTable
from nanobot.core.clock import SystemClock
from nanobot.core.errors import ConfigError, ModelError, ModelRefusedKey
from nanobot.models.providers import ECHO, LOCAL, ModelName, parse_name, provider_of

_HEALTH_S = 3.0


async def examine(config: Config) -> tuple[Finding, ...]:
    """Check every model that the settings name, then the port."""
    found: list[Finding] = []
    try:
        choice = choose_model(config, os.environ)
        found.extend(await _model(config, "model", choice.name, config.model, f" ({choice.why})"))
    except ConfigError as error:
        found.append(Finding("model", "fail", error.message))
    for preset, table in config.models.items():
        if table.name is None:
            found.append(
                Finding(
                    preset,
                    "fail",
                    f"[models.{preset}] has no name",
                    "say which model it is, as name = 'provider:model'",
                )
            )
            continue
        try:
            found.extend(await _model(config, preset, parse_name(table.name), table, ""))
        except ConfigError as error:
            found.append(Finding(preset, "fail", error.message))
    found.extend(await _door(config))
    return tuple(found)


async def _model(config: Config, check: str, name: ModelName, table: ModelTable, why: str) -> list[Finding]:
    """Raises ConfigError: it cannot be made as it is set up."""
    if name.provider == ECHO:
        return [Finding(check, "ok", f"{name}{why}, which only says back what it is told")]
    if name.provider == LOCAL:
        return list(doctor_local.examine(check, str(name), why, models_directory(config)))
    model = make_model(name, table, os.environ, SystemClock(), config.data)
    try:
        await model.check()
    except ModelRefusedKey as error:
        variable = provider_of(name).key_variable
        return [
            Finding(
                check,
                "fail",
                f"{name}{why}: {error.message}",
                f"set another key, in {variable} or model.api_key",
            )
        ]
    except ModelError as error:
        return [
            Finding(
                check,
                "fail",
                f"{name}{why}: {error.message}",
                "check the network and the address, or choose another with --model",
            )
        ]
    finally:
        await model.close()
    return [Finding(check, "ok", f"{name}{why}, reached, key accepted")]


async def _door(config: Config) -> list[Finding]:
    host, port = config.server.host, config.server.port
    found = []
    try:
        refuse_open_door(config)
    except ConfigError as error:
        found.append(Finding("door", "fail", error.message))
    try:
        bind(host, port).close()
    except ConfigError as error:
        if await _is_nanobot(host, port):
            return [*found, Finding("port", "ok", f"a nanobot answers on {host} port {port}")]
        return [*found, Finding("port", "fail", error.message)]
    return [*found, Finding("port", "ok", f"{port} on {host} is free")]


async def _is_nanobot(host: str, port: int) -> bool:
    """Return whether what listens there answers /health as we do."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104 - compared, not bound
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_HEALTH_S)) as http,
            http.get(f"http://{reached}:{port}/health") as response,
        ):
            body = msgspec.json.decode(await response.content.read(1024))
            return response.status == 200 and body == {"status": "ok"}
    except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError):
        return False
