"""What to do with a server that has just started: lines that work as they are printed."""

import os
import shlex
import shutil
import sys
from pathlib import Path

from nanobot.config import Config
from nanobot.stores.sqlite.opening import LOCK

_BODY = '{"model": "nanobot", "messages": [{"role": "user", "content": "Hello!"}]}'


def next_steps(config: Config, url: str, *, is_key_needed: bool) -> str:
    """Return the lines. `url`: where this machine reaches the server."""
    return "\n".join(
        (
            "try it:",
            f"  {_curl(config, url, is_key_needed=is_key_needed)}",
            f"  {_chat(config)}",
            f"or open {url}/ in a browser; {url}/docs describes the API",
        )
    )


def _curl(config: Config, url: str, *, is_key_needed: bool) -> str:
    options = ""
    if config.server.tls_cert:
        # The certificate is for the server's name, not for this machine's own address.
        options += " --insecure"
    if is_key_needed:
        options += f' -H "Authorization: Bearer {_key(config)}"'
    return (
        f"curl{options} {url}/v1/chat/completions -H {_quoted('x-session-key: me')}"
        f" -H {_quoted('Content-Type: application/json')} -d {_quoted(_BODY)}"
    )


def _key(config: Config) -> str:
    """Return what the shell replaces by a key: that of this start in the lock file, which the owner of the
    directory can read.
    """
    if os.name == "nt":
        return "%NANOBOT_API_KEY%"
    return f"$(sed -n 3p {_quoted(str((config.data / LOCK).absolute()))})"


def _chat(config: Config) -> str:
    data = f" --data {_quoted(str(config.data.absolute()))}" if config.server.data else ""
    return f"{_command()} chat{data}"


def _command() -> str:
    """Return how the command is called from the shell that started the server."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return f"{_quoted(sys.executable)} -m nanobot"
    on_path = shutil.which("nanobot")
    if on_path is not None and Path(on_path).resolve() == called.resolve():
        return "nanobot"
    return _quoted(str(called.absolute()))


def _quoted(text: str) -> str:
    if os.name != "nt":
        return shlex.quote(text)
    return '"' + text.replace('"', '\\"') + '"'
