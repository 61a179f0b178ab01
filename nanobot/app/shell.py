"""Sets up the agent's commands, where the settings allow them and this machine can confine them. They run in
the workspaces of their sessions.
"""

import asyncio
import contextlib
import logging
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

from nanobot.app.periodic import CLEANUP_EVERY_S, PeriodicJob
from nanobot.app.places import in_tables
from nanobot.app.settings import MIB, host_rules
from nanobot.config import Config
from nanobot.core.accounts import check_pattern
from nanobot.core.audit_log import AuditedConnection, AuditEntry, AuditSink
from nanobot.core.clock import Clock
from nanobot.core.errors import ConfigError
from nanobot.core.ids import Randomness
from nanobot.core.observer import Observer
from nanobot.core.skill import CommandFolders
from nanobot.core.tool import Tool
from nanobot.stores.workspaces.leftovers import COMMANDS
from nanobot.stores.workspaces.local import LocalWorkspaces
from nanobot.stores.workspaces.removing import remove_tree
from nanobot.tools.network.networks import CommandNetworks, Note
from nanobot.tools.network.rules import NetworkBounds, NetworkRules, parse_allowed
from nanobot.tools.sandbox.bubblewrap import TMP, WORKSPACE
from nanobot.tools.sandbox.command import CommandLimits
from nanobot.tools.sandbox.launched import LaunchedSandbox, Layer
from nanobot.tools.sandbox.layers import probe_layers, probe_network, probe_sandbox_exec
from nanobot.tools.sandbox.seatbelt import SANDBOX_EXEC
from nanobot.tools.shell.access import ShellAccess
from nanobot.tools.shell.background import BackgroundCommands
from nanobot.tools.shell.commands import ShellCommands, ShellSettings
from nanobot.tools.shell.interpreters import Interpreters, InterpreterSettings
from nanobot.tools.shell.tools import shell_tools
from nanobot.tools.workspace.files import SessionUploads

INTERPRETERS_EVERY_S = 30.0
_OWN_OF_COMMANDS = (TMP, "/dev/shm", WORKSPACE)  # noqa: S108 - the one of the sandbox
_log = logging.getLogger(__name__)


class Shell(NamedTuple):
    """What a server has of the agent's commands: their tools, what is to be told of turns, what is to be done
    now and then.
    """

    tools: tuple[Tool, ...]
    observer: Observer
    jobs: tuple[PeriodicJob, ...]


@contextlib.asynccontextmanager
async def open_shell(
    config: Config,
    workspaces: LocalWorkspaces | None,
    clock: Clock,
    randomness: Randomness,
    skills: CommandFolders | None = None,
    audit: AuditSink | None = None,
    uploads: SessionUploads | None = None,
) -> AsyncIterator[Shell | None]:
    """Yield the commands that the settings allow, None where nothing here confines them: then it is logged
    why. They run in `workspaces`, and are shown the folders of `skills` and the `uploads` of their sessions;
    what they connect to is noted in `audit`. Afterwards they end.

    Raises:
        ConfigError: the settings of the shell make no sense.
    """
    access, settings = shell_access(config), shell_settings(config)
    rules = network_rules(config)
    layer = await best_layer(config, clock, randomness)
    if layer is None or workspaces is None:
        yield None
        return
    sandbox = LaunchedSandbox(config.data / COMMANDS, layer, clock, randomness, remove_tree)
    await asyncio.to_thread(sandbox.open)
    networks = None
    if rules is not None:
        if why := await probe_network(layer, config.data, clock, randomness):
            _log.warning("commands have no network: %s (see nanobot doctor)", why)
        else:
            networks = CommandNetworks(rules, network_bounds(config), _noting(audit, clock), clock)
    commands = ShellCommands(
        sandbox,
        workspaces.command_folder,
        settings,
        skills,
        networks.of if networks else None,
        uploads,
        workspaces.snapshot,
    )
    background = BackgroundCommands(commands, settings.max_background)
    interpreters = None
    try:
        has_python = await asyncio.to_thread(commands.finds, "python3")
        if has_python and config.shell.python == "session":
            interpreters = Interpreters(commands, clock, randomness, interpreter_settings(config))
        hosts = networks.rules.names() if networks else ()
        tools = shell_tools(
            commands, background, access, has_python=has_python, interpreters=interpreters, hosts=hosts
        )
        yield Shell(tools, background, _jobs(config, sandbox, interpreters))
    finally:
        if interpreters is not None:
            await interpreters.close()
        commands.close()
        await background.close()


def _jobs(
    config: Config, sandbox: LaunchedSandbox, interpreters: Interpreters | None
) -> tuple[PeriodicJob, ...]:
    sweep = PeriodicJob(
        name="delete temporary files of commands",
        run=sandbox.sweep,
        every_s=CLEANUP_EVERY_S,
        first_after_s=CLEANUP_EVERY_S,
    )
    if interpreters is None:
        return (sweep,)
    end_unused = PeriodicJob(
        name="end interpreters that are not used",
        run=interpreters.sweep,
        every_s=min(INTERPRETERS_EVERY_S, config.shell.python_idle_s),
        first_after_s=INTERPRETERS_EVERY_S,
    )
    return sweep, end_unused


def _noting(audit: AuditSink | None, clock: Clock) -> Note:
    def note(session_key: str, connection: AuditedConnection) -> None:
        if audit is not None:
            audit.note(
                AuditEntry(
                    clock.now(), "command connection", None, None, None, session_key, connection=connection
                )
            )

    return note


async def best_layer(
    config: Config,
    clock: Clock,
    randomness: Randomness,
    platform: str = sys.platform,
    sandbox_exec: str = SANDBOX_EXEC,
) -> Layer | None:
    """Return the strongest layer that holds for commands of this server; None, and log why, where there is
    none. `sandbox_exec`: the program of macOS.
    """
    if why := why_no_layer(config, platform):
        _log.warning("commands are off: %s", why)
        return None
    if platform == "darwin":
        results = await probe_sandbox_exec(config.data, clock, randomness, sandbox_exec)
    else:
        results = await probe_layers(config.data, clock, randomness)
    for result in results:
        if result.layer is not None:
            return result.layer
    for result in results:
        _log.warning("commands are off: %s does not hold: %s (see nanobot doctor)", result.name, result.why)
    return None


def why_no_layer(config: Config, platform: str = sys.platform) -> str:
    """Return why no layer of the sandbox is tried on a system; empty: some are."""
    if platform == "darwin":
        if config.shell.sandbox_exec:
            return ""
        return (
            "the one sandbox for macOS, sandbox-exec, has not been tested on a Mac;"
            " shell.sandbox_exec = true switches it on"
        )
    return (
        "" if platform == "linux" else "there is a sandbox for Linux only (on Windows: run nanobot in WSL2)"
    )


def shell_access(config: Config) -> ShellAccess:
    """Return which sessions may run commands.

    Raises:
        ConfigError: a pattern is not valid, or sessions have no files to run them on.
    """
    if not config.workspace.enabled:
        raise ConfigError(
            "shell.sessions needs the files of sessions: set workspace.enabled = true", tables=("shell",)
        )
    for number, pattern in enumerate(config.shell.sessions):
        with in_tables("shell"):
            check_pattern(pattern, f"shell.sessions[{number}]")
    return ShellAccess(config.shell.sessions)


def network_rules(config: Config, platform: str = sys.platform) -> NetworkRules | None:
    """Return what commands may reach, None where that is nothing.

    Raises:
        ConfigError: an entry is not the name of a host, there are no entries, or commands can have no network
            on this system.
    """
    table = config.shell
    allowed = []
    for entry in table.allowed_hosts:
        if (host := parse_allowed(entry)) is None:
            raise ConfigError(
                f"shell.allowed_hosts has {entry!r}, which is no host: write it as example.org, *.example.org"
                " or example.org:8443, letters beyond ASCII as xn--…",
                tables=("shell",),
            )
        allowed.append(host)
    if table.network == "none":
        return None
    if platform == "darwin":
        raise ConfigError(
            'shell.network = "allow" needs network namespaces, which macOS does not have: commands have no'
            ' network there. Set shell.network = "none", or run nanobot in a container',
            tables=("shell",),
        )
    if not allowed:
        raise ConfigError(
            'shell.network = "allow" needs the hosts that commands may reach: name them in'
            " shell.allowed_hosts",
            tables=("shell",),
        )
    return NetworkRules(tuple(allowed), host_rules(config))


def interpreter_settings(config: Config) -> InterpreterSettings:
    """Return how many interpreters sessions keep, and how long."""
    return InterpreterSettings(config.shell.python_idle_s, config.shell.max_interpreters)


def network_bounds(config: Config) -> NetworkBounds:
    """Return how much commands may use of the network."""
    table = config.shell
    return NetworkBounds(table.network_mb * MIB, table.connections, table.max_connections)


def shell_settings(config: Config) -> ShellSettings:
    """Return what commands may use.

    Raises:
        ConfigError: a path that is to be readable is not a directory, or is one of which commands have their
        own.
    """
    table = config.shell
    for path in table.readable:
        if not Path(path).is_absolute() or not Path(path).is_dir():
            raise ConfigError(
                f"shell.readable has {path!r}, which is no directory: name one in full", tables=("shell",)
            )
        if any(Path(path).is_relative_to(own) for own in _OWN_OF_COMMANDS):
            raise ConfigError(
                f"shell.readable has {path!r}, which commands would not see: they have"
                f" {', '.join(_OWN_OF_COMMANDS)} of their own. Name a directory elsewhere",
                tables=("shell",),
            )
    limits = CommandLimits(
        wall_s=table.timeout_s,
        memory_bytes=table.memory_mb * MIB,
        disk_bytes=table.disk_mb * MIB,
        processes=table.processes,
    )
    return ShellSettings(
        limits, max_commands=table.max_commands, readable=table.readable, live_lines=table.live_lines
    )
