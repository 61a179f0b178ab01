"""What programs in the launcher's sandbox try; only what succeeds without it counts."""

import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import nanobot.tools.sandbox

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the launcher is for Linux")
LAUNCHER = Path(nanobot.tools.sandbox.__file__).with_name("launcher.py")
ATTEMPTS = {
    "read a file outside": "open(C).read()",
    "read it through a link": "os.symlink(C, 'l'); open('l').read()",
    "read it through ..": "open('../' * 20 + C).read()",
    "link it": "os.link(C, 'h')",
    "write it": "open(C, 'a').write('x')",
    "cut it": "os.truncate(C, 3)",
    "make a file beside it": "open(C + '.new', 'w')",
    "list the directory": "os.listdir(os.path.dirname(C))",
    "remove it": "os.rename(C, C + '.gone'); os.rename(C + '.gone', C)",
    "read a process's arguments": "open('/proc/1/cmdline', 'rb').read()",
    "signal a process": "os.kill(P, 0)",
    "renice a process": "os.setpriority(0, P, 19)",
    "move a process": "os.sched_setaffinity(P, os.sched_getaffinity(P))",
    "limit a process": "call(302, P, 7, 0, 0)",
    "open TCP": "socket.socket()",
    "open MPTCP": "socket.socket(2, 1, 262)",
    "open UDP": "socket.socket(2, 2)",
    "open IPv6": "socket.socket(10, 1)",
    "open a named socket": "socket.socket(1, 1)",
    "open netlink": "socket.socket(16, 3)",
    "send from a pair": "socket.socketpair(1, 2)",
    "io_uring": "call(425, 1, ctypes.create_string_buffer(120))",
    "keyring": "call(250, 0, -3, 1)",
    "memory file": "os.memfd_create('x')",
    "new namespace": "call(272, 0x10000000)",
    "shared memory": "call(29, 0, 4096, 0o1600)",
    "message queue": "call(68, 0, 0o1600)",
    "personality": "call(135, 0xffffffff)",
    "file handle": "call(303, -100, b'/', ctypes.create_string_buffer(b'\\x80' + b'\\0' * 200), H, 0)",
    "watch a file": "call(254, call(253), C.encode(), 2)",
    "compare processes": "call(312, os.getpid(), os.getpid(), 1, 0, 0)",
    "device": "os.mknod('dev', 0o20600, 0x103)",
}
PROGRAM = """
import ctypes, json, os, socket, sys
C, P, attempts = json.loads(sys.argv[1]); H = ctypes.create_string_buffer(8)
libc = ctypes.CDLL(None, use_errno=True)
def call(*arguments):
    if (result := libc.syscall(*arguments)) < 0: raise OSError(ctypes.get_errno(), 'refused')
    return result
for name, attempt in attempts.items():
    if os.fork() == 0:
        try: exec(attempt)
        except OSError: os._exit(1)
        os._exit(0)
    if os.wait()[1] == 0: print(name)
print('done')
"""


def _run(directory: Path, prefix: list[str], uid: int, command: list[str]) -> tuple[str, dict[str, object]]:
    workspace, private = directory / "workspace", directory / "tmp"
    for path in (workspace, private):
        path.mkdir(0o700)
        if os.getuid() == 0:
            os.chown(path, uid, uid)
    order = {
        "workspace": str(workspace),
        "tmp": str(private),
        "uid": uid,
        "readable": [],
        "command": command,
        "environment": {"PATH": "/usr/bin:/bin"},
        "limits": {"disk_bytes": 50 << 20, "memory_bytes": 300 << 20, "processes": 40, "wall_s": 20},
    }
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = subprocess.Popen(
            [*prefix, "/usr/bin/python3", "-I", "-S", str(LAUNCHER), str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        ours.sendall(json.dumps(order).encode() + b"\n")
        output = process.communicate()[0]
        return output, json.loads(ours.recv(65536))


@pytest.mark.parametrize("starter", ["root", "user"])
def test_what_works_outside_the_sandbox_is_refused_inside(starter: str) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can start it as both")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o711)
        canary = directory / "canary"
        canary.write_text("canary")
        prefix: list[str] = []
        if starter == "user":
            # All that is attacked belongs to the user that the command runs as.
            prefix = ["setpriv", "--reuid", "52002", "--regid", "52002", "--clear-groups"]
            os.chown(directory, 52002, 52002)
            os.chown(canary, 52002, 52002)
        victim = subprocess.Popen([*prefix, "sleep", "60"])
        try:
            arguments = ["-I", "-c", PROGRAM, json.dumps([str(canary), victim.pid, ATTEMPTS])]
            control = subprocess.run(
                [*prefix, "/usr/bin/python3", *arguments], capture_output=True, text=True, cwd=directory
            ).stdout.splitlines()
            output, end = _run(directory, prefix, 52002, ["/usr/bin/python3", *arguments])
        finally:
            victim.kill()
            victim.wait()
    assert ATTEMPTS.keys() - set(control) <= ({"device"} if starter == "user" else set())
    assert output.splitlines() == ["done"]
    assert end == {"exit": 0}
