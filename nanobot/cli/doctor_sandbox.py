"""The checks of `nanobot doctor` on the sandbox: each layer runs a command that tries to get out."""

import sys
from collections.abc import Sequence

from nanobot.app.shell import network_rules, shell_access, shell_settings, why_no_layer
from nanobot.cli.check_result import CheckResult, Status
from nanobot.cli.options import placed
from nanobot.config import Config
from nanobot.core.clock import SystemClock
from nanobot.core.errors import ConfigError
from nanobot.core.ids import SystemRandomness
from nanobot.tools.sandbox.layers import (
    ProbeResult,
    probe_layers,
    probe_network,
    probe_sandbox_exec,
)
from nanobot.tools.sandbox.seatbelt import SANDBOX_EXEC

_MEANING = {
    "bubblewrap": "commands in namespaces of their own",
    "launcher": "commands confined by Landlock and seccomp",
    "sandbox-exec": "commands confined by a profile, which has not been tested on a Mac",
}
_REMEDIES = {
    "bubblewrap": "install it (apt install bubblewrap), and let programs make user namespaces",
    "launcher": "use Linux 5.13 or newer, with Landlock, on x86-64 or arm64",
    "sandbox-exec": "run nanobot in a container, and report what it says",
}


async def examine(
    config: Config, platform: str = sys.platform, sandbox_exec: str = SANDBOX_EXEC
) -> tuple[CheckResult, ...]:
    """Check the layers of the sandbox, and whether the settings let the agent run commands."""
    if why := why_no_layer(config, platform):
        return () if not config.shell.sessions else (_elsewhere(why),)
    if platform == "darwin":
        results = await probe_sandbox_exec(config.data, SystemClock(), SystemRandomness(), sandbox_exec)
    else:
        results = await probe_layers(config.data, SystemClock(), SystemRandomness())
    network = () if config.shell.network == "none" else (await _network(config, results, platform),)
    return (*(_layer(each, config) for each in results), *network, _shell(config, results))


def _elsewhere(why: str) -> CheckResult:
    return CheckResult(
        "shell", "warn", f"commands are off: {why}", "run nanobot in a container, or on Windows in WSL2"
    )


def _layer(result: ProbeResult, config: Config) -> CheckResult:
    if result.layer is not None:
        lacks = (
            ", without /proc, which this container does not let them have" if result.layer.lacks_proc else ""
        )
        text = f"holds: {_MEANING[result.name]}{lacks}; {result.attempts} attempts to get out were refused"
        return CheckResult(result.name, "ok", text)
    # Without commands nothing is missing.
    status: Status = "warn" if config.shell.sessions else "ok"
    remedy = _REMEDIES[result.name] if config.shell.sessions else ""
    return CheckResult(result.name, status, f"does not hold: {result.why}", remedy)


async def _network(config: Config, results: Sequence[ProbeResult], platform: str) -> CheckResult:
    """Check whether commands can have the network that the settings want for them."""
    try:
        rules = network_rules(config, platform)
    except ConfigError as error:
        return CheckResult("network", "fail", placed(error))
    layer = next((each.layer for each in results if each.layer is not None), None)
    if layer is None or rules is None:
        return CheckResult("network", "warn", "commands are off, so they have no network", "see above")
    if why := await probe_network(layer, config.data, SystemClock(), SystemRandomness()):
        return CheckResult("network", "warn", f"commands have none: {why}", _REMEDIES["bubblewrap"])
    return CheckResult("network", "ok", f"commands reach a proxy, and by it only {', '.join(rules.names())}")


def _shell(config: Config, results: Sequence[ProbeResult]) -> CheckResult:
    best = next((each for each in results if each.layer is not None), None)
    if not config.shell.sessions:
        possible = f"could run in the layer {best.name}" if best else "could not run on this machine"
        return CheckResult(
            "shell", "ok", f"commands are off (shell.sessions names no session); they {possible}"
        )
    try:
        shell_access(config)
        shell_settings(config)
    except ConfigError as error:
        return CheckResult("shell", "fail", placed(error))
    if best is None:
        return CheckResult("shell", "warn", "commands are off: no layer of the sandbox holds", "see above")
    return CheckResult("shell", "ok", f"commands run in the layer {best.name}")
