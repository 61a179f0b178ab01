"""Requests to `/v1/responses`, and what their answers say."""

import json
from collections.abc import Mapping
from typing import Any

from tests.asgi import Exchange
from tests.harness import Harness


def responding(
    harness: Harness, said: object = "hello", headers: Mapping[str, str] | None = None, **fields: object
) -> Exchange:
    body = json.dumps({"model": "nanobot", "input": said, **fields}).encode()
    return harness.door.start("POST", "/v1/responses", body=body, headers=headers)


async def respond(
    harness: Harness, said: object = "hello", headers: Mapping[str, str] | None = None, **fields: object
) -> Exchange:
    return await responding(harness, said, headers, **fields).done()


def spoken(exchange: Exchange) -> str:
    return "".join(
        part["text"]
        for item in exchange.json["output"]
        if item["type"] == "message"
        for part in item["content"]
    )


def told(exchange: Exchange) -> list[dict[str, Any]]:
    return [json.loads(event.content) for event in exchange.events if event.content != "[DONE]"]
