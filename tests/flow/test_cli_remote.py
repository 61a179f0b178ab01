"""The chat's way to a running server: the real door on a real port."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator

import pytest

from nanobot.cli.chat_files import Attachment, SavableFile
from nanobot.cli.chat_link import InProcess, Link
from nanobot.cli.chat_remote import Remote, ServerRefused, ServerUnreachable, is_this_machine, parse_url
from nanobot.core.errors import ConfigError, ModelOverloaded, NanobotError, TurnNotFound
from nanobot.core.event import Event, MessageAdded, TextDelta, ToolFinished, ToolStarted, TurnEnded
from nanobot.core.message import AskedCall, File, Image, Message, Text, ToolCall
from nanobot.testing import Say, ScriptedModel, call
from tests.access import OWNER, give_key
from tests.asgi import BOUND_S
from tests.files import PNG
from tests.flow.mcp_tools import WIDE, connected, table
from tests.flow.mcp_tools import ask as ask_mcp
from tests.harness import Harness, OpenHarness, listening
from tests.upstream import Upstream, json_reply

CALL = Say(
    ("Let me see.",),
    Message(
        "assistant", (Text("Let me see."), ToolCall("c1", "calculate", '{"expression":"6*7"}')), "tool_calls"
    ),
)


@contextlib.asynccontextmanager
async def linked(harness: Harness, kind: str, api_key: str | None = None) -> AsyncIterator[Link]:
    """Yield a link to the house: in process, or over HTTP."""
    if kind == "in process":
        yield InProcess(harness.app)
        return
    async with listening(harness.app.asgi) as server:
        remote = Remote(f"{server.url}/v1/", api_key, "nanobot")
        try:
            yield remote
        finally:
            await remote.close()


async def ask(link: Link, text: str, key: str = "cli:dm:ännchen") -> list[Event]:
    async with asyncio.timeout(BOUND_S):
        return [event async for event in link.ask(key, text)]


def said(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


@pytest.fixture(params=["in process", "over HTTP"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_an_answer_comes_with_its_tools_and_its_steps_are_joined(
    open_harness: OpenHarness, kind: str
) -> None:
    harness = await open_harness(ScriptedModel(CALL, "It is **42** ä."))
    async with linked(harness, kind) as link:
        events = await ask(link, "what is 6*7?")
    assert said(events) == "Let me see.\n\nIt is **42** ä."
    (started,) = [event for event in events if isinstance(event, ToolStarted)]
    (finished,) = [event for event in events if isinstance(event, ToolFinished)]
    assert (started.call.name, started.call.arguments) == ("calculate", '{"expression":"6*7"}')
    assert finished.message.tool_results[0].content == "42"
    assert isinstance(events[-1], TurnEnded) and events[-1].outcome == "done"


async def test_what_has_become_of_a_call_that_was_asked_about_comes_with_the_next_turn(
    open_harness: OpenHarness, kind: str
) -> None:
    harness = await open_harness(ScriptedModel(CALL, "As you like."), policy=[{"tools": {"*": "ask"}}])
    async with linked(harness, kind) as link:
        await ask(link, "what is 6*7?")
        events = await ask(link, "no")
    messages = [event.message for event in events if isinstance(event, MessageAdded)]
    (settled,) = [call for message in messages for call in message.tool_calls if call.approval]
    assert (settled.name, settled.arguments, settled.is_withheld) == (
        "calculate",
        '{"expression": "6*7"}',
        True,
    )


async def asked_of(link: Link, text: str, key: str = "cli:dm:ännchen") -> AskedCall:
    """Return the one call that the answer asks about."""
    (asking,) = [
        event.message
        for event in await ask(link, text, key)
        if isinstance(event, MessageAdded) and event.message.asks
    ]
    return asking.asks[0]


async def test_a_rule_that_is_made_in_the_chat_holds_in_all_conversations_of_its_pattern(
    open_harness: OpenHarness, kind: str
) -> None:
    model = ScriptedModel(CALL, "It is 42.", CALL, "Again 42.", CALL)
    harness = await open_harness(model, policy=[{"tools": {"*": "ask"}}])
    async with linked(harness, kind) as link:
        asked = await asked_of(link, "what is 6*7?")
        for pattern in ("wx:*", None, ""):
            with pytest.raises(NanobotError, match="pattern"):
                await link.decide(asked, "rule", pattern=pattern)
        await link.decide(asked, "rule", pattern="cli:*")
        assert said(await ask(link, "Go on.")) == "It is 42."
        assert said(await ask(link, "again?", "cli:dm:bob")) == "Let me see.\n\nAgain 42."
        assert (await asked_of(link, "and here?", "wx:dm:eve")).tool == "calculate"


async def test_where_the_directory_of_the_server_is_at_hand_a_rule_is_made_on_it() -> None:
    made: list[tuple[str, str]] = []
    remote = Remote("http://127.0.0.1:1", None, "nanobot", make_rule=lambda *rule: made.append(rule))
    asked = AskedCall("appr_1", "c1", "calculate", "{}", 0.0)
    await remote.decide(asked, "rule", pattern="cli:*")
    await remote.close()
    assert made == [("appr_1", "cli:*")]


@pytest.mark.skipif(sys.platform == "win32", reason="the server of the test is a program of a command")
async def test_the_form_of_a_tool_is_answered_in_the_chat(open_harness: OpenHarness, kind: str) -> None:
    model = ScriptedModel(ask_mcp("ask_many"), "Thank you.")
    policy = [{"tools": {"@mcp__fake": "allow"}}]
    harness = await connected(await open_harness(model, agent=WIDE, mcp=table(), policy=policy))
    async with linked(harness, kind) as link:
        asked = await asked_of(link, "who?")
        with pytest.raises(NanobotError, match="age must be a whole number"):
            await link.decide(asked, "once", content={"name": "Ann", "age": "old"})
        await link.decide(asked, "once", content={"name": "Ann", "age": 41})
        assert said(await ask(link, "Go on.")) == "Thank you."


async def test_files_go_along_with_a_message_and_pictures_are_seen(
    open_harness: OpenHarness, kind: str
) -> None:
    model = ScriptedModel("Seen.")
    harness = await open_harness(model)
    files = (Attachment("kites.csv", b"red,41\n"), Attachment("kite.png", PNG))
    async with linked(harness, kind) as link, asyncio.timeout(BOUND_S):
        events = [event async for event in link.ask("k", "what is this?", files)]
    assert said(events) == "Seen."
    text, picture, question = next(
        message.parts for message in model.requests[0].messages if message.role == "user"
    )
    assert isinstance(text, File) and (text.name, text.text.strip()) == ("kites.csv", "red,41")
    assert isinstance(picture, Image) and picture.url.startswith("data:image/png;base64,")
    assert isinstance(question, Text) and question.text.startswith("what is this?")


async def test_what_the_agent_has_written_is_listed_and_read_in_its_conversation_only(
    open_harness: OpenHarness, kind: str
) -> None:
    write = call("write_file", '{"path": "my docs/ä.md", "content": "# Kites"}')
    harness = await open_harness(ScriptedModel(write, "Written."))
    async with linked(harness, kind) as link:
        assert await link.files("k") == ()
        await ask(link, "write", "k")
        assert await link.files("k") == (SavableFile("my docs/ä.md", 7),)
        assert await link.written("k", "my docs/ä.md") == b"# Kites"
        assert await link.files("other") == ()
        for key, path in (("other", "my docs/ä.md"), ("k", "none"), ("k", "../ä.md"), ("k", "")):
            with pytest.raises(NanobotError, match="No such File object"):
                await link.written(key, path)


async def test_the_conversation_is_kept_under_its_key(open_harness: OpenHarness, kind: str) -> None:
    harness = await open_harness(ScriptedModel("one"))
    async with linked(harness, kind) as link:
        await ask(link, "first")
        await ask(link, "second")
        await ask(link, "other", key="cli:dm:other")
    assert [(session.key, session.messages) for session in await harness.app.store.sessions(limit=9)] == [
        ("cli:dm:other", 2),
        ("cli:dm:ännchen", 4),
    ]


async def test_the_newest_turn_is_told_again_and_one_that_runs_is_followed_to_its_end(
    open_harness: OpenHarness, kind: str
) -> None:
    go_on = asyncio.Event()
    harness = await open_harness(ScriptedModel(CALL, "It is 42.", Say(("half ", "whole"), between=go_on)))
    async with linked(harness, kind) as link, asyncio.timeout(BOUND_S):
        assert await link.latest("k") is None
        asked = await ask(link, "what is\n6*7?", "k")
        latest = await link.latest("k")
        assert latest is not None and latest.asked == "what is\n6*7?"
        told = [event async for event in link.take_up(latest.id)]
        assert said(told) == said(asked)
        assert [type(event) for event in told if isinstance(event, ToolStarted | ToolFinished)] == [
            ToolStarted,
            ToolFinished,
        ]
        other = aiter(link.ask("k", "and now?"))
        while not isinstance(await anext(other), TextDelta):
            pass
        latest = await link.latest("k")
        assert latest is not None and latest.asked == "and now?"
        told = []
        async for event in link.take_up(latest.id):
            told.append(event)
            go_on.set()
        assert said(told) == "half whole"
        assert isinstance(told[-1], TurnEnded) and told[-1].outcome == "done"


async def test_a_turn_that_is_not_there_cannot_be_taken_up(open_harness: OpenHarness, kind: str) -> None:
    async with linked(await open_harness(), kind) as link:
        with pytest.raises(TurnNotFound):
            [event async for event in link.take_up("turn_00000000000000000000000000")]


async def test_who_may_not_read_conversations_is_told_nothing_of_the_newest_turn(
    open_harness: OpenHarness,
) -> None:
    harness = await open_harness(api={"key": OWNER})
    await give_key(harness, "ann", rights=("chat",))
    async with linked(harness, "over HTTP", "nb-test-ann") as link:
        await ask(link, "hello", "k")
        assert await link.latest("k") is None


async def test_conversations_are_listed_newest_first(open_harness: OpenHarness, kind: str) -> None:
    async with linked(await open_harness(), kind) as link:
        assert await link.sessions(9) == ()
        for key in ("first", "second", "third"):
            await ask(link, "hello", key)
        assert [(session.key, session.messages) for session in await link.sessions(2)] == [
            ("third", 2),
            ("second", 2),
        ]


async def test_a_key_that_may_not_list_conversations_is_told(open_harness: OpenHarness) -> None:
    harness = await open_harness(api={"key": OWNER})
    await give_key(harness, "ann", rights=("chat",))
    for key, needle in (("nb-test-ann", "sessions:read"), (None, "--api-key")):
        async with linked(harness, "over HTTP", key) as link:
            with pytest.raises(ServerRefused, match=needle):
                await link.sessions(9)


async def test_where_nothing_answers_the_list_says_so(open_harness: OpenHarness) -> None:
    async with listening((await open_harness()).app.asgi) as server:
        url = server.url
    remote = Remote(url, None, "nanobot")
    with pytest.raises(ServerUnreachable, match=f"no answer from {url}.*nanobot serve"):
        await remote.sessions(9)
    await remote.close()


async def test_a_failure_of_the_model_ends_the_turn_with_its_reason(
    open_harness: OpenHarness, kind: str
) -> None:
    harness = await open_harness(ScriptedModel(ModelOverloaded("the provider is overloaded")))
    async with linked(harness, kind) as link:
        end = (await ask(link, "hello"))[-1]
    assert isinstance(end, TurnEnded) and end.error is not None
    assert (end.outcome, end.error.message) == ("failed", "the provider is overloaded")


async def test_cancel_stops_a_turn_that_speaks_and_what_was_said_is_kept(
    open_harness: OpenHarness, kind: str
) -> None:
    harness = await open_harness(ScriptedModel(Say(("half an ", "answer"), between=asyncio.Event())))
    async with linked(harness, kind) as link, asyncio.timeout(BOUND_S):
        events: list[Event] = []
        async for event in link.ask("k", "hello"):
            events.append(event)
            if isinstance(event, TextDelta):
                await link.cancel()
    assert isinstance(events[-1], TurnEnded) and events[-1].outcome == "cancelled"
    assert (await harness.app.store.messages("k", limit=9))[-1].message.text == "half an "


async def test_cancel_where_nothing_runs_does_nothing(open_harness: OpenHarness, kind: str) -> None:
    async with linked(await open_harness(), kind) as link:
        await link.cancel()
        await ask(link, "hello")
        await link.cancel()
        assert said(await ask(link, "hello")) == "ok"


async def test_a_turn_over_http_that_has_not_begun_to_speak_is_cancelled_as_soon_as_its_id_is_known(
    open_harness: OpenHarness,
) -> None:
    """The id comes with the head of the answer, and that with the first ping at the latest."""
    model = ScriptedModel(Say(("never",), before=asyncio.Event()))
    harness = await open_harness(model, api={"ping_s": 0.05})
    async with linked(harness, "over HTTP") as link, asyncio.TaskGroup() as group:
        asking = group.create_task(ask(link, "hello"))
        await model.asked.wait()
        await link.cancel()
    end = asking.result()[-1]
    assert isinstance(end, TurnEnded) and end.outcome == "cancelled"


async def test_a_connection_that_breaks_is_taken_up_where_it_broke(open_harness: OpenHarness) -> None:
    """The text arrives once, whole, and the model is asked once; meanwhile it says what the trouble is."""
    more = asyncio.Event()

    async def goes_on_once_the_break_is_told() -> None:
        while not remote.trouble:
            await asyncio.sleep(0)
        troubles.append(remote.trouble)
        more.set()

    model = ScriptedModel(Say(("first ", "second"), between=more))
    harness = await open_harness(model)
    async with _Cutter(harness) as cutter:
        cutter_url = cutter.url
        remote = Remote(cutter_url, None, "nanobot")
        try:
            events: list[Event] = []
            troubles: list[str] = []
            async with asyncio.timeout(BOUND_S), asyncio.TaskGroup() as group:
                async for event in remote.ask("k", "hello"):
                    events.append(event)
                    if said(events) == "first ":
                        group.create_task(goes_on_once_the_break_is_told())
                        cutter.cut()
        finally:
            await remote.close()
    assert said(events) == "first second"
    assert troubles == [f"no connection, trying again: {cutter_url}"] and not remote.trouble
    assert cutter.connections > 1
    assert len(model.requests) == 1


async def test_a_connection_that_breaks_before_the_first_word_does_not_start_the_turn_twice(
    open_harness: OpenHarness,
) -> None:
    speak = asyncio.Event()
    model = ScriptedModel(Say(("all ", "of it"), before=speak))
    harness = await open_harness(model)
    async with _Cutter(harness) as cutter:
        remote = Remote(cutter.url, None, "nanobot")
        try:
            async with asyncio.TaskGroup() as group:
                asking = group.create_task(ask(remote, "hello", "k"))
                await model.asked.wait()
                cutter.cut()
                speak.set()
        finally:
            await remote.close()
    assert said(asking.result()) == "all of it"
    assert [row.message.role for row in await harness.app.store.messages("k", limit=9)] == [
        "user",
        "assistant",
    ]


class _Cutter:
    """Stands between a client and the house, and can break the connections that go through it."""

    def __init__(self, harness: Harness) -> None:
        self._house = harness
        self._stack = contextlib.AsyncExitStack()
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections = 0

    async def __aenter__(self) -> "_Cutter":
        self._port = (await self._stack.enter_async_context(listening(self._house.app.asgi))).port
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *reason: object) -> None:
        self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()
        await self._stack.aclose()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers += [writer, inner_writer]
        for source, target in ((reader, inner_writer), (inner_reader, writer)):
            task = asyncio.create_task(_pump(source, target))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await source.read(65536):
            target.write(piece)
            await target.drain()
    target.close()


async def test_a_server_with_a_key_refuses_without_it_and_says_how_to_name_it(
    open_harness: OpenHarness,
) -> None:
    harness = await open_harness(api={"key": "sesame"})
    async with linked(harness, "over HTTP") as link:
        with pytest.raises(ServerRefused, match="--api-key"):
            await ask(link, "hello")
    async with linked(harness, "over HTTP", "sesame") as link:
        assert said(await ask(link, "hello")) == "ok"


async def test_nobody_at_the_url_is_told_at_once_with_the_url(open_harness: OpenHarness) -> None:
    async with listening((await open_harness()).app.asgi) as server:
        url = server.url
    remote = Remote(url, None, "nanobot")
    with pytest.raises(ServerUnreachable, match=f"no answer from {url} .*nanobot serve"):
        await ask(remote, "hello")
    await remote.close()


async def test_what_is_no_nanobot_is_told(open_harness: OpenHarness) -> None:
    async with Upstream() as upstream:
        upstream.then(json_reply({"hello": "world"}), json_reply({"detail": "no such page"}, status=404))
        remote = Remote(upstream.url, None, "nanobot")
        for _ in range(2):
            with pytest.raises(ServerUnreachable, match=r"not .*like nanobot: check the URL"):
                await ask(remote, "hello")
        await remote.close()


async def test_what_is_no_url_is_refused_and_v1_at_its_end_does_not_matter() -> None:
    for text in ("127.0.0.1:8900", "ftp://x", "http://", "http://[", ""):
        with pytest.raises(ConfigError, match="--url"):
            parse_url(text)
    assert {parse_url(f"http://host:8900{end}") for end in ("", "/", "/v1", "/v1/")} == {"http://host:8900"}
    assert parse_url("https://host/nanobot/v1") == "https://host/nanobot"


def test_the_servers_own_key_is_only_for_a_server_of_this_machine() -> None:
    assert (
        is_this_machine("http://127.0.0.1:8900")
        and is_this_machine("http://[::1]:1/v1")
        and is_this_machine("http://localhost")
    )
    assert not is_this_machine("http://example.com:8900") and not is_this_machine(
        "http://127.0.0.1.example.com"
    )


async def test_a_server_that_does_not_stream_is_asked_for_the_whole_answer(open_harness: OpenHarness) -> None:
    harness = await open_harness(ScriptedModel("whole", ModelOverloaded("overloaded")), api={"stream": False})
    async with linked(harness, "over HTTP") as link:
        events = await ask(link, "hello")
        assert events == [TextDelta("whole"), TurnEnded("done")]
        (end,) = await ask(link, "and now?")
    assert isinstance(end, TurnEnded) and end.error is not None and end.error.code == "model_overloaded"
