"""GET /openapi.json and /docs: what the server offers, for programs and for people.

They are built at the first request, off the event loop.
"""

import asyncio
import base64
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from starlette.types import Send

from nanobot.http.operations import Operation
from nanobot.http.request import Request
from nanobot.http.respond import answer

_PAGE = "text/html; charset=utf-8"


class Content(msgspec.Struct, frozen=True):
    """What is sent: the body, its media type, the headers that belong to it."""

    body: bytes
    media_type: str
    headers: tuple[tuple[str, str], ...] = ()


class CachedResponse:
    """An answer that is built at the first request for it, then kept."""

    def __init__(self, build: Callable[[], Content]) -> None:
        self._build = build
        self._content: Content | None = None

    async def __call__(self, request: Request, send: Send) -> None:
        if self._content is None:
            # Two first requests at once build it twice, which does no harm.
            self._content = await asyncio.to_thread(self._build)
        content = self._content
        await answer(send, 200, content.body, content.headers, content.media_type.encode())


def operations(others: Sequence[Operation]) -> tuple[Operation, ...]:
    """Return the operations of this module; the document describes `others` and these."""

    def build_document() -> Content:
        # Most servers are never asked for it, and a start should not load it.
        from nanobot.http.openapi import document

        return Content(document((*others, *own)), "application/json")

    own = (
        Operation(
            method="GET",
            path="/openapi.json",
            run=CachedResponse(build_document),
            summary="This API as an OpenAPI document",
            tag="Server",
            right=None,
            answers={200: dict},
        ),
        Operation(
            method="GET",
            path="/docs",
            run=CachedResponse(_build_page),
            summary="This API as a page to read and to try",
            tag="Server",
            right=None,
            answers={200: str},
            media_type="text/html",
        ),
    )
    return own


def _build_page() -> Content:
    """Return the page in one piece. It may run only its own script, and talk only to this server."""
    page, script, style = (
        Path(__file__).with_name("docs_page").joinpath(name).read_text("utf-8") for name in _FILES
    )
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    body = page.replace("/* page.js */", script).replace("/* page.css */", style).encode()
    headers = (
        ("content-security-policy", policy),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
    )
    return Content(body, _PAGE, headers)


_FILES = ("page.html", "page.js", "page.css")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
