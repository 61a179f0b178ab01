"""Streams that pause for longer than `api.ping_s`: what stock clients and plain parsers make of them."""

import asyncio
import json

import pytest
from openai import AsyncOpenAI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nanobot.http.stream import PING
from nanobot.testing import Say, ScriptedModel, call
from tests.asgi import Door, Exchange
from tests.flow.paused import PausedModel
from tests.harness import OpenHarness, listening
from tests.wire.sse import blocks

OFTEN = {"ping_s": 0.01}
PINGS = ": ping\n: ping\n"


class Paused(ScriptedModel):
    """A model that calls a tool, then pauses in the middle of its answer until `gate` is set."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        tool = call("calculate", '{"expression": "6*7"}', text="Let me see.")
        super().__init__(tool, Say(("Hello to", " you there"), between=self.gate))


class OpensAfterPings:
    """Sets `gate` once one answer has had two comments."""

    def __init__(self, app: ASGIApp, gate: asyncio.Event) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        pings = 0

        async def counting(message: Message) -> None:
            nonlocal pings
            await send(message)
            pings += message.get("body", b"") == PING
            if pings >= 2:
                self._gate.set()

        await self._app(scope, receive, counting)


# The official SDK ---------------------------------------------------------------------------------


def sdk(url: str) -> AsyncOpenAI:
    return AsyncOpenAI(
        base_url=f"{url}/v1", api_key="none", default_headers={"x-session-key": "a"}, max_retries=0
    )


async def test_the_sdk_reads_a_chat_stream_that_pauses(open_harness: OpenHarness) -> None:
    model = PausedModel()
    app = OpensAfterPings((await open_harness(model, api=OFTEN)).app.asgi, model.gate)
    async with listening(app) as server, sdk(server.url) as client:
        stream = await client.chat.completions.create(
            model="nanobot", messages=[{"role": "user", "content": "hello"}], stream=True
        )
        said = [chunk.choices[0].delta.content async for chunk in stream]
    assert said == ["", "Hello", " there", None]


async def test_the_sdk_reads_a_response_stream_that_pauses(open_harness: OpenHarness) -> None:
    model = PausedModel("Hello to", " you")
    app = OpensAfterPings((await open_harness(model, api=OFTEN)).app.asgi, model.gate)
    async with listening(app) as server, sdk(server.url) as client:
        stream = await client.responses.create(model="nanobot", input="hello", stream=True)
        said = [event.delta async for event in stream if event.type == "response.output_text.delta"]
    assert said == ["Hello", " to", " you"]


# Any parser ---------------------------------------------------------------------------------------

TOOLS = {"x-events": "tools"}
STREAMS = {
    "turn": ("/v1/turns/{turn}/stream", {}),
    "turn with tools": ("/v1/turns/{turn}/stream", TOOLS),
    "turn, resumed": ("/v1/turns/{turn}/stream?after=4", TOOLS),
    "response": ("/v1/responses/{response}?stream=true", {}),
    "response, resumed": ("/v1/responses/{response}?stream=true&starting_after=2", {}),
    "session": ("/v1/sessions/a/events", {}),
    "session, resumed": ("/v1/sessions/a/events?after={turn}:4", {}),
}


def asking(client: Door, route: str, **fields: object) -> Exchange:
    """Begin a stream at `route`, with all that it can say."""
    body = {"model": "nanobot", "stream": True, **fields}
    return client.start("POST", route, body=json.dumps(body).encode(), headers={"x-session-key": "a"} | TOOLS)


def contents(text: str) -> list[str]:
    """Return the data of each event in `text`, which any parser of server-sent events finds and can read."""
    found: list[str] = []
    for fields in blocks(text):
        names = [name for name, _ in fields]
        assert names in (["data"], ["data", "id"], ["event", "data"], ["event", "data", "id"]), fields
        content = dict(fields)["data"]
        assert content == "[DONE]" or json.loads(content), fields
        found.append(content)
    return found


@pytest.mark.parametrize("name", STREAMS)
async def test_every_event_of_a_stream_that_pauses_has_its_data_first(
    open_harness: OpenHarness, name: str
) -> None:
    model = Paused()
    client = (await open_harness(model, api=OFTEN)).door
    first = asking(client, "/v1/responses", input="6*7?")
    await first.until("Hello")
    path, headers = STREAMS[name]
    ids = {"turn": first.turn_id, "response": first.turn_id.replace("turn_", "resp_")}
    exchange = client.start("GET", path.format(**ids), headers=headers)
    await exchange.until(PINGS)
    model.gate.set()
    await first.done()
    await exchange.until("turn_ended" if name.startswith("session") else "[DONE]")
    exchange.disconnect()
    await exchange.done()
    assert any("there" in content for content in contents(exchange.text))


@pytest.mark.parametrize(
    ("route", "fields"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "6*7?"}]}),
        ("/v1/responses", {"input": "6*7?"}),
        ("/v1/responses", {"input": "6*7?", "background": True}),
    ],
)
async def test_every_event_of_an_answer_that_pauses_has_its_data_first(
    open_harness: OpenHarness, route: str, fields: dict[str, object]
) -> None:
    model = Paused()
    exchange = asking((await open_harness(model, api=OFTEN)).door, route, **fields)
    await exchange.until("Hello")
    await exchange.until(PINGS)
    model.gate.set()
    await exchange.done()
    assert contents(exchange.text)[-1] == "[DONE]"
