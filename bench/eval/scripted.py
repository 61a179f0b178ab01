"""A server of chat completions that answers as a script says."""

import contextlib
import itertools
import json
import threading
import traceback
from collections import deque
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from bench.eval.talk import Call, Reply, Script, Talk

_BYTES_PER_TOKEN = 4
_LOGGED = 8
_LOGGED_CHARS = 400


class ScriptedServer:
    """Serves the script at `url`. `requests`: how many there were; `summaries`: how many of them wanted one.
    `errors`: what went wrong in the script. `log`: what the newest requests showed last, and the replies.
    """

    def __init__(self, script: Script) -> None:
        self.requests = self.summaries = 0
        self.errors: list[str] = []
        self.log: deque[str] = deque(maxlen=_LOGGED)
        self._script = script
        self._ids = itertools.count(1)
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    @contextlib.contextmanager
    def serving(self) -> Iterator["ScriptedServer"]:
        thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        thread.start()
        try:
            yield self
        finally:
            self._http.shutdown()
            self._http.server_close()
            thread.join()

    def _answer(self, body: dict[str, Any]) -> bytes:
        talk = Talk(body)
        self.requests += 1
        self.summaries += talk.is_for_summary
        reply: Reply = "(the script failed)"
        try:
            reply = self._script(talk)
        finally:
            self.log.append(
                f"< {(talk.last or talk.question)[-_LOGGED_CHARS:]}\n> {str(reply)[:_LOGGED_CHARS]}"
            )
        usage = {
            "prompt_tokens": len(json.dumps(body["messages"])) // _BYTES_PER_TOKEN,
            "completion_tokens": len(str(reply)) // _BYTES_PER_TOKEN,
        }
        usage["total_tokens"] = sum(usage.values())
        delta, reason = self._delta(reply)
        chunks: list[dict[str, Any]] = [
            {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}], "usage": usage},
        ]
        lines = (json.dumps({"id": "x", "model": "scripted", **chunk}) for chunk in chunks)
        return "".join(f"data: {line}\n\n" for line in (*lines, "[DONE]")).encode()

    def _delta(self, reply: Reply) -> tuple[dict[str, Any], str]:
        if isinstance(reply, str):
            return {"role": "assistant", "content": reply}, "stop"
        calls = [reply] if isinstance(reply, Call) else reply
        return {
            "role": "assistant",
            "tool_calls": [
                {
                    "index": index,
                    "id": f"call_{next(self._ids)}",
                    "type": "function",
                    "function": {"name": each.name, "arguments": json.dumps(each.arguments)},
                }
                for index, each in enumerate(calls)
            ],
        }, "tool_calls"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                try:
                    status, kind, content = 200, "text/event-stream", server._answer(body)
                except Exception:  # noqa: BLE001
                    server.errors.append(traceback.format_exc())
                    # No passing failure: it is not asked again.
                    status, kind = 400, "application/json"
                    content = b'{"error": {"message": "the script failed", "type": "invalid_request_error"}}'
                self._reply(status, kind, content)

            def do_GET(self) -> None:
                self._reply(200, "application/json", b'{"object": "list", "data": [{"id": "scripted"}]}')

            def _reply(self, status: int, kind: str, content: bytes) -> None:
                # Who asked may have been killed meanwhile.
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    self.send_header("Content-Type", kind)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                """What matters is counted."""

        return Handler
