"""GET /metrics: what the server counted, for Prometheus."""

from collections.abc import Awaitable, Callable

from starlette.types import Send

from nanobot.http.operations import Operation
from nanobot.http.request import Request
from nanobot.http.respond import answer

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Scrape:
    """The route. `render` returns the metrics as text."""

    def __init__(self, render: Callable[[], Awaitable[str]]) -> None:
        self._render = render

    async def __call__(self, request: Request, send: Send) -> None:
        text = await self._render()
        request.is_poll = True
        await answer(send, 200, text.encode(), kind=MEDIA_TYPE.encode())


def operations(render: Callable[[], Awaitable[str]], *, is_open: bool) -> tuple[Operation, ...]:
    """Return the operations of this module."""
    return (
        Operation(
            method="GET",
            path="/metrics",
            run=Scrape(render),
            summary="What the server counted, for Prometheus",
            tag="Server",
            right=None if is_open else "admin",
            answers={200: str},
            media_type=MEDIA_TYPE,
        ),
    )
