"""Runs attempts in the sandbox's launcher, and without any sandbox, as a control."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from tests.escape.arena import CANARY, LAUNCHER, RESTORE, Arena, open_arena
from tests.escape.attempts import SIGNAL_BY_INPUT, Attempt
from tests.escape.network import proxy, site
from tests.escape.users import end_all, users

Starter = Literal["root", "user", "root in a container", "user in a container"]
Layer = Literal["launcher", "bubblewrap", "bubblewrap, network"]
SYSTEM_PYTHON = "/usr/bin/python3"
_HERE = Path(__file__).parent
IN_CONTAINER = os.environ.get("ESCAPE_IN_CONTAINER") == "1"
"""Whether this runs in a container of an engine: then nothing of it is imitated."""
_TIMEOUT_S = 500
LIMITS = {"disk_bytes": 200 << 20, "memory_bytes": 1 << 30, "processes": 60, "wall_s": 480}


class Outcome(msgspec.Struct, frozen=True):
    """What succeeded, and what failed in a way that is no refusal; how the command ended; whether everything
    outside was as before.
    """

    succeeded: frozenset[tuple[str, str]]
    odd: dict[str, str]
    end: dict[str, Any]
    is_untouched: bool


def prefix(starter: Starter) -> list[str]:
    """Return what is put before a program to start it so, with at most 200 processes whatever it does."""
    before = ["prlimit", "--nproc=200"]
    if "user" in starter:
        uid = str(users().uid)
        before += ["setpriv", "--reuid", uid, "--regid", uid, "--clear-groups"]
    if "container" in starter and not IN_CONTAINER:
        before += [SYSTEM_PYTHON, "-I", "-S", str(_HERE / "container.py")]
    return before


def attempt(attempts: Sequence[Attempt], starter: Starter, layer: Layer | None) -> Outcome:
    """Try all of `attempts` at once in a layer of the sandbox; None: without one."""
    owner = users().uid if "user" in starter else users().foreign
    with open_arena(owner, users().uid) as arena, site() as open_:
        (arena.base / "workspace" / "program.py").write_bytes((_HERE / "program.py").read_bytes())
        given = {
            "canary": CANARY,
            "aims": {**arena.aims, "WEB": open_.port},
            "attempts": [each.code for each in attempts],
            "restore": "" if layer else RESTORE,
        }
        (arena.base / "workspace" / "given.json").write_text(json.dumps(given))
        if layer is None:
            output, end = _plain(arena, starter)
        else:
            command = [SYSTEM_PYTHON, "program.py", "given.json"]
            output, end = launch(arena, starter, layer, command, limits=LIMITS, web=open_.port)
        try:
            return _outcome(attempts, arena, output, end)
        finally:
            end_all()


def _outcome(attempts: Sequence[Attempt], arena: Arena, output: str, end: dict[str, Any]) -> Outcome:
    succeeded: set[tuple[str, str]] = set()
    odd: dict[str, str] = {}
    is_done = False
    for line in output.splitlines():
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if "succeeded" in said:
            each = attempts[said["succeeded"]]
            succeeded.add((each.kind, each.name))
        elif "odd" in said:
            odd[attempts[said["odd"]].name] = said["why"]
        else:
            is_done = True
    if not is_done:
        odd["the program"] = f"did not end: {end} {output[-500:]}"
    if arena.victim.poll() is not None:
        succeeded.add(("processes", SIGNAL_BY_INPUT))
    return Outcome(frozenset(succeeded), odd, end, arena.is_untouched)


def _plain(arena: Arena, starter: Starter) -> tuple[str, dict[str, Any]]:
    # What root mounts is to be seen by nobody else.
    own = ["unshare", "--mount"] if starter == "root" else []
    done = subprocess.run(
        [*own, "timeout", str(_TIMEOUT_S), *prefix(starter), SYSTEM_PYTHON, "program.py", "given.json"],
        cwd=arena.base / "workspace",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={"PATH": "/usr/bin:/bin", "SECRET": CANARY, "HOME": "/tmp"},
        pass_fds=[arena.leaked],
        text=True,
    )
    return done.stdout, {"exit": done.returncode}


def launch(
    arena: Arena,
    starter: Starter,
    layer: Layer,
    command: list[str],
    *,
    limits: dict[str, Any],
    timeout_s: int = _TIMEOUT_S,
    web: int = 80,
) -> tuple[str, dict[str, Any]]:
    """Run a command by the launcher; return what it wrote, and how it ended as the launcher says. `web`: the
    port of the host that it may reach, where it has a network.
    """
    order = {
        **{name: str(arena.base / name) for name in ("workspace", "tmp", "shm")},
        "uid": users().uid if "root" in starter else 0,
        "readable": [],
        "skills": {},
        "uploads": "",
        "command": command,
        "environment": {"PATH": "/usr/bin:/bin"},
        "limits": limits,
        "bubblewrap": "" if layer == "launcher" else shutil.which("bwrap") or "",
        "python": SYSTEM_PYTHON,
        "python_prefix": "",
        "lacks_proc": IN_CONTAINER,
    }
    python = sys.executable if "root" in starter else SYSTEM_PYTHON
    ours, theirs = socket.socketpair()
    with contextlib.ExitStack() as stack:
        stack.enter_context(ours)
        stack.enter_context(theirs)
        given = [theirs.fileno(), arena.leaked]
        if layer == "bubblewrap, network":
            handed, network = socket.socketpair()
            stack.enter_context(proxy(handed, web, [int(str(arena.aims[port])) for port in ("TCP", "TCP6")]))
            stack.enter_context(network)
            given.append(network.fileno())
            order["network"] = network.fileno()
        process = subprocess.Popen(
            [
                "timeout",
                "-s",
                "KILL",
                str(timeout_s),
                *prefix(starter),
                python,
                "-I",
                "-S",
                str(LAUNCHER),
                str(theirs.fileno()),
            ],
            # The launcher is to close what it was not to get.
            pass_fds=given,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"SECRET": CANARY},
            text=True,
            errors="replace",
            start_new_session=True,
        )
        theirs.close()
        if "network" in order:
            network.close()
        ours.sendall(json.dumps(order).encode() + b"\n")
        output = process.communicate()[0]
        received = ours.recv(65536)
    return output, json.loads(received) if received else {"launcher": process.returncode}


def can_run() -> bool:
    """Return whether this machine can run the suite: root, who can be any user."""
    return sys.platform == "linux" and os.getuid() == 0 and Path(SYSTEM_PYTHON).exists()
