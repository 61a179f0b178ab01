"""Stands in for macOS's `sandbox-exec` on Linux: it takes the same arguments, and confines by Landlock and
seccomp whom that one would confine by the profile. Run as a program, with the standard library only.
"""

import ctypes
import os
import re
import struct
import sys

sys.path.insert(0, os.path.abspath(os.path.join(__file__, "..", "..")))

from nanobot.tools.sandbox import confine, landlock
from nanobot.tools.sandbox import filter as system_calls
from nanobot.tools.sandbox.filter import ALLOW, EQUAL, FAIL, LOAD, RETURN, SOCKET


def main() -> None:
    arguments = sys.argv[1:]
    kills_all = arguments[0] != "refuse-kill" or not arguments.pop(0)
    given: dict[str, str] = {}
    profile = ""
    while (option := arguments.pop(0)) != "--":
        value = arguments.pop(0)
        if option == "-p":
            profile = value
        else:
            name, _, path = value.partition("=")
            given[name] = path
    named = re.findall(r'\(param "(\w+)"\)', profile)
    if option != "--" or sorted(named) != sorted(given):
        sys.exit(f"sandbox-exec: the profile names {named}, {list(given)} are given")
    paths = {kind: [given[name] for name in named if name.startswith(kind)] for kind in ("READ", "WRIT")}
    devices = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
    landlock.confine([*confine.READABLE, *paths["READ"]], paths["WRIT"], devices)
    refuse_sockets()
    if not kills_all:
        system_calls.install()
    # Python has set it for itself.
    os.environ.pop("LC_CTYPE", None)
    os.execv(arguments[0], arguments)


def refuse_sockets() -> None:
    """Let this process and all that it starts make no sockets: Landlock knows those of TCP only."""
    number = SOCKET[0 if os.uname().machine == "x86_64" else 1]
    lines = ((LOAD, 0, 0, 0), (EQUAL, 0, 1, number), (RETURN, 0, 0, FAIL | 13), (RETURN, 0, 0, ALLOW))
    buffer = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
    if ctypes.CDLL(None).prctl(22, 2, struct.pack("HxxxxxxP", len(lines), ctypes.addressof(buffer)), 0, 0):
        sys.exit("sandbox-exec: no seccomp")


main()
