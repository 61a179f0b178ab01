"""GET / and /web/…: the chat page for browsers. It holds nothing of this server, and needs no key."""

import asyncio

from starlette.types import Send

from nanobot.core.errors import RouteNotFound
from nanobot.core.late_pattern import LatePattern
from nanobot.http.operations import Operation
from nanobot.http.request import Request
from nanobot.web.assets import Asset, Assets, load_assets

_Headers = tuple[tuple[bytes, bytes], ...]
_REFUSED = LatePattern(r"q=0(\.0*)?")
_FOREVER = b"public, max-age=31536000, immutable"
_ASK_AGAIN = b"no-cache"


class ChatPage:
    """Serves the page and its files, which are read at the first request for one of them."""

    def __init__(self) -> None:
        self._assets: Assets | None = None

    async def page(self, request: Request, send: Send) -> None:
        """GET /: for browsers, which ask for `text/html`. Other clients find nothing here."""
        if not _accepts(request, b"accept", "text/html"):
            hint = "but a page for browsers: the API is below /v1, and /docs describes it"
            raise RouteNotFound(f"there is nothing at {request.path} {hint}")
        assets = await self._loaded()
        headers = (
            (b"content-security-policy", assets.policy.encode()),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-opener-policy", b"same-origin"),
        )
        await _send(request, send, assets.page, _ASK_AGAIN, headers, vary=b"accept, accept-encoding")

    async def file(self, request: Request, send: Send) -> None:
        """GET /web/{version}/{name}: a file of the page of that version, which never changes."""
        assets = await self._loaded()
        version, name = request.path_params["version"], request.path_params["name"]
        asset = assets.files.get(name)
        if asset is None or version != assets.version:
            raise RouteNotFound(f"there is nothing at {request.path}")
        await _send(request, send, asset, _FOREVER, (), vary=b"accept-encoding")

    async def _loaded(self) -> Assets:
        if self._assets is None:
            # Two first requests at once read the files twice, which does no harm.
            self._assets = await asyncio.to_thread(load_assets)
        return self._assets


async def _send(
    request: Request, send: Send, asset: Asset, cache: bytes, headers: _Headers, *, vary: bytes
) -> None:
    """Send the asset as the client takes it; only that it is unchanged, where the client has it."""
    is_compressed = _accepts(request, b"accept-encoding", "gzip")
    # Each form has a tag of its own, as a cache may not serve one for the other.
    etag = f'{asset.etag[:-1]}-gzip"' if is_compressed else asset.etag
    headers = (
        (b"etag", etag.encode()),
        (b"cache-control", cache),
        (b"vary", vary),
        (b"x-content-type-options", b"nosniff"),
        *headers,
    )
    known = {tag.strip().removeprefix("W/") for tag in _header(request, b"if-none-match").split(",")}
    if etag in known or "*" in known:
        await send({"type": "http.response.start", "status": 304, "headers": list(headers)})
        await send({"type": "http.response.body", "body": b""})
        return
    body = asset.compressed if is_compressed else asset.body
    headers += (
        (b"content-type", asset.media_type.encode()),
        (b"content-length", str(len(body)).encode()),
        *(((b"content-encoding", b"gzip"),) if is_compressed else ()),
    )
    await send({"type": "http.response.start", "status": 200, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


def _accepts(request: Request, header: bytes, wanted: str) -> bool:
    """Return whether the header lists `wanted` by its name, without refusing it (`;q=0`)."""
    for each in _header(request, header).lower().split(","):
        name, *parameters = (part.strip() for part in each.split(";"))
        if name == wanted:
            return not any(_REFUSED.fullmatch(parameter) for parameter in parameters)
    return False


def _header(request: Request, name: bytes) -> str:
    return request.headers.get(name, b"").decode("latin-1")


def operations() -> tuple[Operation, ...]:
    """Return the operations of the page."""
    chat = ChatPage()
    return (
        Operation(
            method="GET",
            path="/",
            run=chat.page,
            summary="A page to chat with, for browsers",
            tag="Server",
            right=None,
            answers={200: str, 304: None},
            media_type="text/html",
        ),
        Operation(
            method="GET",
            path="/web/{version}/{name:path}",
            run=chat.file,
            summary="A file of the chat page",
            tag="Server",
            right=None,
            answers={200: bytes, 304: None},
        ),
    )
