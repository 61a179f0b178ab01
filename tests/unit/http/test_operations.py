"""Which operation a path leads to."""

import pytest
from starlette.types import Send

from nanobot.http.operations import Operation, Path
from nanobot.http.request import Request


async def run(request: Request, send: Send) -> None:
    """Answer nothing."""


def match(template: str, path: str) -> dict[str, str] | None:
    operation = Operation(method="GET", path=template, run=run, summary="", tag="", right=None)
    return Path([operation]).match(path)


@pytest.mark.parametrize(
    ("template", "path", "parameters"),
    [
        ("/health", "/health", {}),
        ("/health", "/health/", None),
        ("/health", "/healthy", None),
        ("/v1/sessions/{key}", "/v1/sessions/wx:dm:ann", {"key": "wx:dm:ann"}),
        ("/v1/sessions/{key}", "/v1/sessions/a%2Fb", {"key": "a%2Fb"}),
        ("/v1/sessions/{key}", "/v1/sessions/", None),
        ("/v1/sessions/{key}", "/v1/sessions", None),
        ("/v1/sessions/{key}", "/v1/sessions/a/b", None),
        ("/v1/sessions/{key}", "/v1/sessions/a/", None),
        ("/v1/sessions/{key}/events", "/v1/sessions/a/events", {"key": "a"}),
        ("/v1/sessions/{key}/events", "/v1/sessions//events", None),
        ("/v1/sessions/{key}/events", "/v1/sessions/a/event", None),
        ("/v1/sessions/{key}/events", "/v1/sessions/a/events/", None),
        ("/v1/sessions/{key}/events", "/v1/sessions/a" + "/" * 60_000, None),
        ("/v1/models/{model_id:path}", "/v1/models/org/model", {"model_id": "org/model"}),
        ("/v1/models/{model_id:path}", "/v1/models/", {"model_id": ""}),
        ("/v1/models/{model_id:path}", "/v1/models", None),
        ("/web/{version}/{name:path}", "/web/v1/a/b.js", {"version": "v1", "name": "a/b.js"}),
        ("/web/{version}/{name:path}", "/web//b.js", None),
        ("/web/{version}/{name:path}", "/web/v1", None),
    ],
)
def test_a_path_is_matched_part_by_part_as_it_was_sent(
    template: str, path: str, parameters: dict[str, str] | None
) -> None:
    assert match(template, path) == parameters
