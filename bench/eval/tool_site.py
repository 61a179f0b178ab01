"""The warehouse as an MCP server at a URL: as such servers were until 2025-11-25, with sessions, and as they
are since 2026-07-28, without. Written without the SDK.
"""

import itertools
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from bench.eval.tool_server import Warehouse

Era = Literal["sessions", "stateless"]
Json = dict[str, Any]
SURCHARGE = 40
"""What an order from abroad costs more, in euros."""
_OLD, _NEW = "2025-11-25", "2026-07-28"
_ABROAD = {
    "name": "order_abroad",
    "description": "Order an item from abroad, with a surcharge.",
    "inputSchema": {"type": "object", "properties": {"item": {"type": "string"}}, "required": ["item"]},
}
Reply = tuple[int, dict[str, str], bytes]


class WarehouseSite:
    """Answers what is posted to it. Orders are written down in `directory`. `begun`: how many sessions were
    begun.
    """

    def __init__(self, directory: Path, era: Era) -> None:
        self._warehouse = Warehouse(directory)
        self._era = era
        self._ids = itertools.count(1)
        self._sessions: set[str] = set()
        self._lock = threading.Lock()
        self.begun = 0

    def restart(self) -> None:
        """Forget all sessions, as a server does that was started anew."""
        with self._lock:
            self._sessions.clear()

    def post(self, headers: Mapping[str, str], body: bytes) -> Reply:
        message = json.loads(body)
        with self._lock:
            named = headers.get("mcp-session-id")
            begins = message.get("method") in ("initialize", "server/discover")
            if self._era == "sessions" and not begins and named not in self._sessions:
                return 404, {}, b""
            if "id" not in message or "method" not in message:
                return 202, {}, b""
            more = self._begin() if message["method"] == "initialize" else {}
            answer = self._answer(message)
        return 200, {"Content-Type": "application/json", **more}, json.dumps(answer).encode()

    def _begin(self) -> dict[str, str]:
        if self._era == "stateless":
            return {}
        self.begun += 1
        session = f"session-{next(self._ids)}"
        self._sessions.add(session)
        return {"Mcp-Session-Id": session}

    def _answer(self, message: Json) -> Json:
        answer: Json = {"jsonrpc": "2.0", "id": message["id"]}
        try:
            return {**answer, "result": self._result(message)}
        except KeyError:
            error = {"code": -32601, "message": f"there is no method {message['method']}"}
            return {**answer, "error": error}

    def _result(self, message: Json) -> Json:
        """Return the result of the request.

        Raises:
            KeyError: there is no such method.
        """
        parameters: Json = message.get("params") or {}
        if self._era == "stateless":
            if message["method"] == "server/discover":
                return self._complete({"supportedVersions": [_NEW], "capabilities": {"tools": {}}})
            if message["method"] == "initialize":
                raise KeyError
        if message["method"] == "tools/call" and parameters["name"] == _ABROAD["name"]:
            return self._order_abroad(parameters)
        result = self._warehouse.answer(message)
        assert result is not None, "nothing here takes long"
        if message["method"] == "tools/list":
            result = {"tools": [*result["tools"], _ABROAD]}
        return self._complete(result)

    def _order_abroad(self, parameters: Json) -> Json:
        """Order once somebody has agreed to the surcharge."""
        item = parameters["arguments"]["item"]
        given = (parameters.get("inputResponses") or {}).get("surcharge")
        if given is None:
            form = {
                "mode": "form",
                "message": f"{item} comes from abroad, for {SURCHARGE} euros more. Order it?",
                "requestedSchema": {
                    "type": "object",
                    "properties": {"agreed": {"type": "boolean"}},
                    "required": ["agreed"],
                },
            }
            asks = {"surcharge": {"method": "elicitation/create", "params": form}}
            return {"resultType": "input_required", "inputRequests": asks, "requestState": item}
        if given.get("action") != "accept" or not given["content"]["agreed"]:
            return self._text("not ordered: the surcharge was refused")
        called = self._warehouse.call("order", item)
        assert called is not None
        return self._text(called[0])

    def _text(self, text: str) -> Json:
        return self._complete({"content": [{"type": "text", "text": text}], "isError": False})

    def _complete(self, result: Json) -> Json:
        if self._era == "sessions":
            return result
        return {"resultType": "complete", "ttlMs": 0, "cacheScope": "private", **result}
