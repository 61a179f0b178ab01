"""A real browser, without a window, where the machine has one; and an origin for pages to come from."""

import contextlib
import functools
import http.server
import queue
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
BOUND_S = 90


def browser() -> str:
    """Return the path of a Chromium; skip the test where there is none."""
    found = next((path for path in map(shutil.which, _NAMES) if path), None)
    if found is None:
        pytest.skip(f"no browser on this machine (looked for {', '.join(_NAMES)})")
    return found


class Origin:
    """Where pages come from. `told`: what they post back to `/`, as text."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.told: queue.Queue[str] = queue.Queue()


@contextlib.contextmanager
def origin(directory: Path) -> Iterator[Origin]:
    """Serve the files of `directory`."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_POST(self) -> None:
            served.told.put(self.rfile.read(int(self.headers["content-length"])).decode())
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(directory))
    ) as server:
        served = Origin(f"http://localhost:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, name="origin")
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join(BOUND_S)


@contextlib.contextmanager
def opened(url: str, profile: Path) -> Iterator[None]:
    """Have the page open in a browser."""
    options = (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--no-proxy-server",
        f"--user-data-dir={profile}",
    )
    process = subprocess.Popen(
        [browser(), *options, url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(BOUND_S)
