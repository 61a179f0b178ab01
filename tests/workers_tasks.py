"""Tasks that misbehave, each in a way that a worker must survive or end."""

import ctypes
import importlib
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path


def run(head: bytes, content: bytes) -> bytes:
    """Do what `head` says."""
    return _DO[head.decode()](content)


def _echo(content: bytes) -> bytes:
    return b"<" + content + b">"


def _pid(content: bytes) -> bytes:
    return str(os.getpid()).encode()


def _parent(content: bytes) -> bytes:
    return str(os.getppid()).encode()


def _environment(content: bytes) -> bytes:
    return " ".join(os.environ).encode()


def _print(content: bytes) -> bytes:
    print("noise")
    os.write(1, b"more noise")
    sys.stdout.flush()
    return b"the result"


def _raise(content: bytes) -> bytes:
    raise RuntimeError("as libraries do")


def _nothing(content: bytes) -> bytes:
    return b""


def _sleep(content: bytes) -> bytes:
    time.sleep(60)
    return b"awake"


def _spin(content: bytes) -> bytes:
    while True:
        pass


def _eat(content: bytes) -> bytes:
    kept = []
    while True:
        kept.append(bytearray(10_000_000))


def _crash(content: bytes) -> bytes:
    return bytes(ctypes.string_at(0))


def _large(content: bytes) -> bytes:
    return b"x" * 10_000_000


def _attempt(content: bytes) -> bytes:
    """Try what `content` names; say how it went."""
    try:
        _RUN[content.decode()]()
    except (OSError, RuntimeError, ValueError) as error:
        return f"refused: {error}".encode()
    return b"it worked"


def _connect() -> None:
    socket.create_connection(("127.0.0.1", 9), timeout=1)


def _thread() -> None:
    thread = threading.Thread(target=time.sleep, args=(0,))
    thread.start()
    thread.join()


def _socket() -> None:
    socket.socket(socket.AF_INET, socket.SOCK_STREAM).close()


def _program() -> None:
    subprocess.run([sys.executable, "-c", ""], check=True)


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def _write() -> None:
    Path(__file__).with_name("written").write_text("x", encoding="ascii")


def _delete() -> None:
    Path(__file__).unlink()


def _folder() -> None:
    Path(__file__).with_name("folder").mkdir()


def _memory() -> None:
    Path(f"/proc/{os.getppid()}/environ").read_bytes()


def _time() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def _module() -> None:
    importlib.import_module("xml.dom.minidom")


def _signal() -> None:
    os.kill(os.getppid(), 0)


def _read() -> None:
    Path("/etc/passwd").read_bytes()


_RUN = {
    "a socket": _socket,
    "a connection": _connect,
    "a program": _program,
    "a fork": _fork,
    "a signal": _signal,
    "a file to write": _write,
    "a file to delete": _delete,
    "a folder": _folder,
    "a file to read": _read,
    "the memory of another process": _memory,
    "more time": _time,
    "a module": _module,
    "a thread": _thread,
}
ATTEMPTS = {name: name in ("a module", "a thread") for name in _RUN}
"""What a task may attempt, and whether it should work."""
_DO = {
    "echo": _echo,
    "pid": _pid,
    "parent": _parent,
    "environment": _environment,
    "sleep": _sleep,
    "spin": _spin,
    "eat": _eat,
    "crash": _crash,
    "print": _print,
    "raise": _raise,
    "nothing": _nothing,
    "large": _large,
    "attempt": _attempt,
}
