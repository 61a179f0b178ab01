"""Requests to `/v1/sessions`, and lists that are walked page by page."""

import json
from typing import Any
from urllib.parse import quote

from tests.asgi import Exchange
from tests.harness import Harness


def at(key: str, rest: str = "") -> str:
    return f"/v1/sessions/{quote(key, safe='')}{rest}"


async def post(harness: Harness, path: str, body: object = None) -> Exchange:
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return await harness.door.call("POST", path, body=raw)


async def ids(harness: Harness, path: str) -> list[str]:
    reply = await harness.door.get(path)
    assert reply.status == 200, reply.text
    return [each["id"] for each in reply.json["data"]]


async def walk(harness: Harness, path: str, limit: int) -> list[dict[str, Any]]:
    """Return all of a list, page by page."""
    found: list[dict[str, Any]] = []
    more = True
    while more:
        after = f"&after={quote(found[-1]['id'], safe='')}" if found else ""
        page = (await harness.door.get(f"{path}{'&' if '?' in path else '?'}limit={limit}{after}")).json
        assert page["object"] == "list"
        assert (page["first_id"], page["last_id"]) == (
            (page["data"][0]["id"], page["data"][-1]["id"]) if page["data"] else (None, None)
        )
        found += page["data"]
        more = page["has_more"]
        assert len(page["data"]) == limit or not more
    return found
