"""`nanobot serve` as a process in front of a provider of ours: what clients meet in production."""

import asyncio
import contextlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.clients.rule_based import respond
from tests.upstream import Asked, Upstream

ROOT = Path(__file__).parents[2]
BOUND_S = 60.0


class Provider:
    """The upstream, in an event loop and a thread of its own, so that clients of any kind can be tried
    against it.
    """

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    @property
    def url(self) -> str:
        return self._upstream.url

    @property
    def requests(self) -> list[Asked]:
        """What the model was asked, oldest first; tests may clear it."""
        return self._upstream.requests


@contextlib.contextmanager
def provider() -> Iterator[Provider]:
    """Run the provider."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="provider")
    thread.start()
    upstream = Upstream(respond)
    try:
        asyncio.run_coroutine_threadsafe(upstream.__aenter__(), loop).result(BOUND_S)
        try:
            yield Provider(upstream)
        finally:
            asyncio.run_coroutine_threadsafe(upstream.__aexit__(None, None, None), loop).result(BOUND_S)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(BOUND_S)
        loop.close()


@contextlib.contextmanager
def serving(data: Path, *options: str, settings: str = "", **variables: str) -> Iterator[str]:
    """Run `nanobot serve` on a free port with `settings` as its nanobot.toml; yield its address."""
    data.mkdir(parents=True, exist_ok=True)
    (data / "nanobot.toml").write_text(settings, encoding="utf-8")
    environment = {"PATH": os.environ["PATH"], "HOME": str(data), "PYTHONPATH": str(ROOT), **variables}
    if "SYSTEMROOT" in os.environ:
        environment["SYSTEMROOT"] = os.environ["SYSTEMROOT"]
    command = [
        sys.executable,
        "-m",
        "nanobot",
        "serve",
        "--port",
        "0",
        "--data",
        str(data / "data"),
        *options,
    ]
    with (data / "stderr.txt").open("w") as stderr:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=data, env=environment
        )
    try:
        yield _address(process, data / "stderr.txt")
        process.terminate()
        assert process.wait(BOUND_S) == 0
    finally:
        process.kill()
        process.communicate()


def _address(process: "subprocess.Popen[str]", stderr: Path) -> str:
    assert process.stdout is not None
    guard = threading.Timer(BOUND_S, process.kill)
    guard.start()
    try:
        for line in process.stdout:
            if found := re.search(r"listens on\s+(\S+)", line):
                return found[1]
    finally:
        guard.cancel()
    raise AssertionError(f"the server ended before it listened: {stderr.read_text(encoding='utf-8')}")


@contextlib.contextmanager
def rule_based_server(
    data: Path, *options: str, settings: str = "", **variables: str
) -> Iterator[tuple[str, Provider]]:
    """Run a server whose model answers by rule; yield its address, and the provider."""
    with provider() as upstream:
        asks = {
            "OPENAI_API_KEY": "sk-provider",
            "OPENAI_BASE_URL": upstream.url,
            "NANOBOT_MODEL_MAX_RETRIES": "0",
        }
        with serving(
            data, "--model", "openai:test-model", *options, settings=settings, **asks, **variables
        ) as address:
            yield address, upstream
