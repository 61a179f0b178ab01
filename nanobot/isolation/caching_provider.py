"""A provider with one prefix cache for everybody: it reads nothing twice, forgets nothing, and says how much
of each prompt it knew.

It speaks chat completions and responses, keeps prompts apart by `cache_salt`, and stands in for the engine of
the local model as well.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from nanobot.models.local.process import Endpoint

SALT_FIELD, CACHE_KEY_FIELD = "cache_salt", "prompt_cache_key"
_TOKEN = re.compile(r"\w+|\W")
_ANSWER = "Well."
_NO_TOOL = "none"
"""What the local model is answered under a grammar: the message needs no tool."""


class AskedPrompt(msgspec.Struct, frozen=True):
    """A request that reached the provider. `cached`: how many of its `tokens` the cache had."""

    salt: str
    cache_key: str
    tokens: int
    cached: int


class PrefixCache:
    """The beginnings of all prompts that were ever read. A token is a word, or one other character."""

    def __init__(self) -> None:
        self._known: set[int] = set()

    def read(self, salt: str, prompt: str) -> tuple[int, int]:
        """Return how many tokens the prompt has, and how many at its beginning were known under `salt`."""
        beginning = hash(salt)
        tokens = cached = 0
        for match in _TOKEN.finditer(prompt):
            beginning = hash((beginning, match[0]))
            if beginning in self._known:
                cached = tokens + 1
            self._known.add(beginning)
            tokens += 1
        return tokens, cached


def _engine_answer(path: str, body: dict[str, Any]) -> object:
    """Return what the engine of the local model answers beside chat; None on other paths."""
    if path == "/apply-template":
        return {"prompt": json.dumps(body["messages"])}
    if path == "/tokenize":
        return {"tokens": list(range(len(_TOKEN.findall(body["content"]))))}
    if path == "/completion" or path.startswith("/slots/"):
        return {"n_restored": 0}
    return None


class CachingProvider:
    """The provider, as an ASGI app. `asked`: the requests that reached it, in order."""

    def __init__(self) -> None:
        self._cache = PrefixCache()
        self.asked: list[AskedPrompt] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = json.loads(await request.body() or b"{}")
        if (known := _engine_answer(request.url.path, body)) is not None:
            await Response(json.dumps(known), media_type="application/json")(scope, receive, send)
            return
        if request.url.path.endswith("/chat/completions"):
            answer = self._chat(body)
        elif request.url.path.endswith("/responses"):
            answer = self._respond(body)
        else:
            await Response(status_code=HTTPStatus.NOT_FOUND)(scope, receive, send)
            return
        events = "".join(f"data: {json.dumps(event)}\n\n" for event in answer)
        response = Response(events + "data: [DONE]\n\n", media_type="text/event-stream")
        await response(scope, receive, send)

    def _read(self, body: dict[str, object], *read_first: str) -> AskedPrompt:
        """Read the prompt: what a template puts first, then what was said."""
        prompt = "\n".join(json.dumps(body[field]) for field in read_first if field in body)
        salt = str(body.get(SALT_FIELD, ""))
        asked = AskedPrompt(salt, str(body.get(CACHE_KEY_FIELD, "")), *self._cache.read(salt, prompt))
        self.asked.append(asked)
        return asked

    def _chat(self, body: dict[str, object]) -> list[object]:
        asked = self._read(body, "tools", "messages")
        words = _NO_TOOL if "grammar" in body else _ANSWER
        usage = {
            "prompt_tokens": asked.tokens,
            "completion_tokens": 1,
            "total_tokens": asked.tokens + 1,
            "prompt_tokens_details": {"cached_tokens": asked.cached},
        }
        return [
            _chunk([{"index": 0, "delta": {"role": "assistant", "content": words}, "finish_reason": None}]),
            _chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}]),
            _chunk([], usage=usage),
        ]

    def _respond(self, body: dict[str, object]) -> list[object]:
        asked = self._read(body, "tools", "instructions", "input")
        part = {"type": "output_text", "text": _ANSWER, "annotations": []}
        item = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [part],
        }
        usage = {
            "input_tokens": asked.tokens,
            "input_tokens_details": {"cached_tokens": asked.cached},
            "output_tokens": 1,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": asked.tokens + 1,
        }
        response = {"id": "resp_1", "object": "response", "model": "stand-in", "output": []}
        begun = {"type": "response.output_item.added", "output_index": 0, "item": item | {"content": []}}
        delta = {
            "type": "response.output_text.delta",
            "output_index": 0,
            "content_index": 0,
            "delta": _ANSWER,
        }
        done = response | {"status": "completed", "output": [item], "usage": usage}
        events: list[dict[str, object]] = [
            {"type": "response.created", "response": response | {"status": "in_progress"}},
            begun,
            {"item_id": "msg_1", **delta},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": done},
        ]
        return [{**event, "sequence_number": number} for number, event in enumerate(events)]


def _chunk(choices: list[object], **more: object) -> object:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": "stand-in",
        "choices": choices,
        **more,
    }


class StandInEngine:
    """The engine of a local model whose part the provider at `base_url` plays."""

    pid = None
    has_failed = False

    def __init__(self, base_url: str, warm: Callable[[Endpoint], Awaitable[None]]) -> None:
        self._endpoint = Endpoint(base_url, None, "audit")
        self._warm = warm
        self._warming: asyncio.Future[None] | None = None

    @property
    def is_up(self) -> bool:
        return self._warming is not None

    def start(self) -> None:
        if self._warming is None:
            self._warming = asyncio.ensure_future(self._warm(self._endpoint))

    async def ready(self) -> Endpoint:
        return self._endpoint

    async def close(self) -> None:
        if self._warming is not None:
            self._warming.cancel()
            await asyncio.gather(self._warming, return_exceptions=True)
