"""A web site on this machine, with a search engine that speaks as SearXNG does."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec


class Page(msgspec.Struct, frozen=True):
    """What is at a path. `waits`: it is answered once `opened` is set; `delay_s`: after so long."""

    content: bytes
    kind: str = "text/html; charset=utf-8"
    status: int = 200
    waits: bool = False
    delay_s: float = 0.0


Endpoint = Callable[[Mapping[str, str], bytes], tuple[int, dict[str, str], bytes]]
"""Answers headers, their names in small letters, and a body by a status, headers and a body."""


class Site:
    """Serves `pages` by their path, and what is posted to `endpoints`. `visited`: the paths of pages, in the
    order in which they were asked for.
    """

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.found: list[dict[str, str]] = []
        """What a search finds, whatever it is for: `title`, `url`, `content`."""
        self.endpoints: dict[str, Endpoint] = {}
        self.visited: list[str] = []
        self.opened = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._http.server_address[1]}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def html(self, path: str, text: str, **more: Any) -> None:
        """Put a page there."""
        self.pages[path] = Page(f"<html><body><main>{text}</main></body></html>".encode(), **more)

    @contextlib.contextmanager
    def serving(self) -> Iterator["Site"]:
        thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        thread.start()
        try:
            yield self
        finally:
            self.opened.set()
            self._http.shutdown()
            self._http.server_close()
            thread.join()

    def _page(self, target: str) -> Page:
        parts = urlsplit(target)
        self.visited.append(target)
        if parts.path == "/search" and "q" in parse_qs(parts.query):
            return Page(json.dumps({"results": self.found}).encode(), "application/json")
        page = self.pages.get(parts.path)
        if page is None:
            return Page(b"<html><body>There is nothing here.</body></html>", status=404)
        if page.waits:
            self.opened.wait(300)
        time.sleep(page.delay_s)
        return page

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                page = site._page(self.path)
                with contextlib.suppress(OSError):
                    self.send_response(page.status)
                    self.send_header("Content-Type", page.kind)
                    self.send_header("Content-Length", str(len(page.content)))
                    self.end_headers()
                    self.wfile.write(page.content)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                named = {name.lower(): value for name, value in self.headers.items()}
                posted = site.endpoints.get(self.path)
                status, headers, content = posted(named, body) if posted else (404, {}, b"")
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    for name, value in {**headers, "Content-Length": str(len(content))}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                """What matters is in `visited`."""

        return Handler
