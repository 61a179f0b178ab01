"""An answer that nobody reads as it comes is read in larger pieces."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable

import pytest

from nanobot.core.audience import EMPTY, Audience
from nanobot.core.errors import ModelBadAnswer
from nanobot.core.event import Delta, TextDelta
from nanobot.core.message import Message, user
from nanobot.core.model import ModelRequest
from nanobot.models.openai.chat import OpenAIChat
from nanobot.models.remote_settings import RemoteSettings
from tests.clock import PausedClock
from tests.upstream import CUT, HANG, Gate, Reply, Upstream, finish, spoken, streamed, text

WITHIN_S = 20.0


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pieces wait for each other for as long as a test runs."""
    monkeypatch.setattr("nanobot.models.http._GATHER_S", 60.0)


@pytest.fixture
def _socket_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the socket be left alone, once something was gathered, for as long as a test runs."""
    monkeypatch.setattr("nanobot.models.http11_answer._LEAST_PAUSE_S", 0.0)
    monkeypatch.setattr("nanobot.models.http11_answer._MOST_PAUSE_S", 60.0)
    monkeypatch.setattr("nanobot.models.http11_answer._PAUSE_SHARE", 1e-9)


class LateAudience:
    """An audience that comes when the test says so."""

    def __init__(self) -> None:
        self.is_listening = False
        self.gathers = asyncio.Event()
        self._call: Callable[[], None] | None = None

    def on_arrival(self, call: Callable[[], None] | None) -> None:
        self._call = call
        if call is not None:
            self.gathers.set()

    def arrive(self) -> None:
        self.is_listening = True
        assert self._call is not None
        self._call()


@contextlib.asynccontextmanager
async def answering(reply: Reply) -> AsyncIterator[OpenAIChat]:
    """A model that answers with `reply`."""
    async with Upstream() as upstream, asyncio.timeout(WITHIN_S):
        upstream.then(reply)
        model = OpenAIChat(
            RemoteSettings(
                name="test:m",
                model="m",
                base_url=upstream.url,
                api_key=None,
                context_tokens=8_192,
                max_retries=0,
            ),
            clock=PausedClock(),
            random=random.Random(1),
        )
        yield model
        await model.close()


async def hear(model: OpenAIChat, audience: Audience, deltas: list[Delta]) -> Message:
    async for item in model.stream(ModelRequest("", (user("hi"),), audience=audience)):
        if isinstance(item, Message):
            return item
        deltas.append(item)
    raise AssertionError("no message came")


async def arrival() -> None:
    """Return when what the server has written is with the client: both share this loop."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_pieces_that_nobody_reads_come_as_one() -> None:
    deltas: list[Delta] = []
    async with answering(streamed(*(text(f"{number} ") for number in range(9)))) as model:
        message = await hear(model, EMPTY, deltas)
    assert message.text == "0 1 2 3 4 5 6 7 8 "
    assert len(deltas) <= 2


async def test_who_arrives_in_the_middle_reads_all_that_has_come_and_then_each_piece() -> None:
    audience, gate, deltas = LateAudience(), Gate(), list[Delta]()
    async with answering(streamed(text("a"), text("b"), gate, text("c"))) as model:
        hearing = asyncio.ensure_future(hear(model, audience, deltas))
        await gate.reached.wait()
        await audience.gathers.wait()
        audience.arrive()
        while "".join(delta.text for delta in deltas) != "ab":
            await asyncio.sleep(0)
        gate.open()
        assert (await hearing).text == "abc"
    assert deltas[-1] == TextDelta("c")


async def test_a_request_that_is_cancelled_yields_first_what_had_come() -> None:
    audience, gate, deltas = LateAudience(), Gate(), list[Delta]()
    async with answering(streamed(text("a"), text("b"), gate)) as model:
        hearing = asyncio.ensure_future(hear(model, audience, deltas))
        await gate.reached.wait()
        await audience.gathers.wait()
        await arrival()
        hearing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hearing
    assert "".join(delta.text for delta in deltas) == "ab"


@pytest.mark.usefixtures("_socket_left_alone")
async def test_what_stands_at_a_socket_that_is_left_alone_is_read_when_somebody_arrives() -> None:
    audience, gate, later, deltas = LateAudience(), Gate(), Gate(), list[Delta]()
    async with answering(streamed(text("a"), gate, text("b"), later, text("c"), HANG)) as model:
        hearing = asyncio.ensure_future(hear(model, audience, deltas))
        await audience.gathers.wait()
        gate.open()
        await later.reached.wait()
        await arrival()
        later.open()
        await arrival()
        assert "".join(delta.text for delta in deltas) == "a"
        audience.arrive()
        while "".join(delta.text for delta in deltas) != "abc":
            await asyncio.sleep(0)
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)


@pytest.mark.usefixtures("_socket_left_alone")
async def test_what_stands_at_a_socket_that_is_left_alone_is_not_lost_when_it_is_cancelled() -> None:
    audience, gate, later, last, deltas = LateAudience(), Gate(), Gate(), Gate(), list[Delta]()
    async with answering(streamed(text("a"), gate, text("b"), later, text("c"), last)) as model:
        hearing = asyncio.ensure_future(hear(model, audience, deltas))
        await audience.gathers.wait()
        gate.open()
        await later.reached.wait()
        await arrival()
        later.open()
        await last.reached.wait()
        await arrival()
        hearing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hearing
    assert "".join(delta.text for delta in deltas) == "abc"


async def test_a_cancelled_request_is_not_taken_for_done_although_its_answer_was_whole() -> None:
    audience, gate, deltas = LateAudience(), Gate(), list[Delta]()
    end = Gate()
    async with answering(spoken(text("a"), gate, finish("stop"), b"data: [DONE]\n\n", end)) as model:
        hearing = asyncio.ensure_future(hear(model, audience, deltas))
        await audience.gathers.wait()
        gate.open()
        await end.reached.wait()
        await arrival()
        hearing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hearing


async def test_an_answer_that_breaks_off_fails_after_what_had_come() -> None:
    deltas: list[Delta] = []
    async with answering(streamed(text("a"), text("b"), CUT)) as model:
        with pytest.raises(ModelBadAnswer):
            await hear(model, EMPTY, deltas)
    assert "".join(delta.text for delta in deltas) == "ab"


async def test_an_answer_that_is_done_when_its_connection_breaks_is_an_answer() -> None:
    async with answering(spoken(text("a"), finish("stop"), CUT)) as model:
        assert (await hear(model, EMPTY, [])).text == "a"
