"""The users that attempts run as. Each process of tests has two of its own, and ends the processes of these
only: several can run at once on a machine.
"""

import fcntl
import functools
import os
import subprocess

import msgspec

_FIRST, _PAIRS = 53_000, 200
"""Below what containers have, and outside of what the sandbox and the system itself give away."""
_LOCKS = "/run/nanobot-escape.lock"


class Users(msgspec.Struct, frozen=True):
    """`uid` is the user of attempts, `foreign` the one that owns what a server that is root guards."""

    uid: int
    foreign: int


@functools.cache
def users() -> Users:
    """Return the users of this process, which no other one has until it ends. Only root can lock them.

    Raises:
        RuntimeError: all are taken.
    """
    # It is never closed: with it the lock would go.
    descriptor = os.open(_LOCKS, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    for number in range(_PAIRS):
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
        except OSError:
            continue
        found = Users(_FIRST + 2 * number, _FIRST + 2 * number + 1)
        # A run that was killed may have left some.
        _kill(found.uid)
        _kill(found.foreign)
        return found
    raise RuntimeError(f"{_PAIRS} processes run attempts already")


def end_all() -> None:
    """Kill the processes of the user of the attempts, whatever the sandbox has let through."""
    _kill(users().uid)


def _kill(uid: int) -> None:
    subprocess.run(["pkill", "-KILL", "-U", str(uid)], check=False)


def processes() -> list[str]:
    """Return what runs as the user of the attempts."""
    done = subprocess.run(
        ["ps", "-U", str(users().uid), "-o", "pid,args", "--no-headers"], capture_output=True, text=True
    )
    return done.stdout.splitlines()
