"""A model that does harm where it is asked to, and else answers at once.

The word `many-calls` in the last message brings 4,000 tool calls in one answer, `endless` an answer that goes
on for as long as somebody reads it, `slow` one that takes two seconds.

Run: `python -m bench.hostile.upstream PORT`; SIGTERM ends it.
"""

import asyncio
import json
import sys

from aiohttp import web

_CALLS = 4_000
_SLOW_S = 2.0


def _chunk(delta: dict[str, object], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: %b\n\n" % json.dumps({"id": "x", "model": "bench", "choices": [choice]}).encode()


def _calls(number: int) -> list[dict[str, object]]:
    function = {"name": "calculate", "arguments": '{"expression": "1+1"}'}
    return [
        {"index": index, "id": f"c{index}", "type": "function", "function": function}
        for index in range(number)
    ]


async def _answer(request: web.Request) -> web.StreamResponse:
    messages = json.loads(await request.read())["messages"]
    # Not the results of tools: the question comes first.
    asked = next(str(each["content"]) for each in reversed(messages) if each["role"] == "user")
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    if "slow" in asked:
        await asyncio.sleep(_SLOW_S)
    if "endless" in asked:
        flood = _chunk({"content": "word " * 2_000})
        try:
            while True:
                await response.write(flood)
        except ConnectionError:
            return response
    if "many-calls" in asked and messages[-1]["role"] == "user":
        await response.write(_chunk({"tool_calls": _calls(_CALLS)}, "tool_calls"))
    else:
        await response.write(_chunk({"role": "assistant", "content": "Nothing much."}, "stop"))
    await response.write(b"data: [DONE]\n\n")
    return response


async def _models(_: web.Request) -> web.Response:
    return web.json_response({"object": "list", "data": [{"id": "bench", "object": "model"}]})


def main() -> None:
    app = web.Application(client_max_size=1 << 30)
    app.add_routes([web.post("/v1/chat/completions", _answer), web.get("/v1/models", _models)])
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)


if __name__ == "__main__":
    main()
