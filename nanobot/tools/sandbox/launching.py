"""What the launchers of all systems do alike. Standard library only."""

import contextlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any

from nanobot.tools.sandbox import watchdog

UPLOADS = "uploads"
Order = dict[str, Any]


def obey(run: Callable[[Order, int], dict[str, Any]], processes: watchdog.Processes) -> None:
    """Read the order from the descriptor that the first argument names, let `run` do it, and say how that
    ended. Whatever it started is gone then.
    """
    control = int(sys.argv[1])
    order = json.loads(_line(control))
    try:
        end = run(order, control)
    except Exception as error:  # noqa: BLE001 - whatever it is, the command must end
        end = {"failed": f"{type(error).__name__}: {error}"}
    finally:
        watchdog.end_all(processes)
    # The server is gone; nobody asks any more.
    with contextlib.suppress(OSError):
        os.write(control, json.dumps(end).encode() + b"\n")


def _line(descriptor: int) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        chunk = os.read(descriptor, 65536)
        if not chunk:
            sys.exit(1)
        line += chunk
    return line


def link_uploads(order: Order, target: str) -> None:
    """Let `uploads` in the workspace lead to `target`, with what was uploaded. What else a command has put
    there stays.
    """
    workspace = os.open(order["workspace"], os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        with contextlib.suppress(OSError):
            if os.readlink(UPLOADS, dir_fd=workspace) != target:
                os.unlink(UPLOADS, dir_fd=workspace)
        with contextlib.suppress(FileExistsError):
            os.symlink(target, UPLOADS, dir_fd=workspace)
            if order["uid"]:
                os.chown(UPLOADS, order["uid"], order["uid"], dir_fd=workspace, follow_symlinks=False)
    finally:
        os.close(workspace)


def close_all_but(*kept: int) -> None:
    begin = 0
    for descriptor in (*sorted(kept), 65536):
        if begin < descriptor:
            os.closerange(begin, descriptor)
        begin = descriptor + 1


def reach(workspace: str) -> None:
    try:
        os.chdir(workspace)
    except PermissionError:
        parts = workspace.split("/")
        closed = next(
            (path for n in range(1, len(parts)) if not os.access(path := "/".join(parts[: n + 1]), os.X_OK)),
            workspace,
        )
        raise PermissionError(
            f"the user of the command cannot reach {workspace}: {closed} is closed to others (chmod o+x, or"
            " another data directory)"
        ) from None
