import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec

from nanobot.cli.chat_files import Attachment, SavableFile
from nanobot.cli.chat_link import LatestTurn
from nanobot.cli.chat_loop import ChatLoop, follow
from nanobot.cli.chat_prompt import UserLeft
from nanobot.cli.chat_view import PlainView
from nanobot.core.approvals import ApprovalAnswer
from nanobot.core.errors import (
    ApprovalClosed,
    ModelOverloaded,
    NanobotError,
    QueueFull,
    TurnNotFound,
    UploadNotFound,
)
from nanobot.core.event import Event, MessageAdded, TextDelta, TurnEnded, TurnError
from nanobot.core.message import AskedCall, Message, Text, ToolCall
from nanobot.core.sessions import Session
from nanobot.core.tool_question import Content, QuestionChoice, QuestionField, ToolQuestion
from tests.unit.cli.emulator import Emulator


class Agent:
    """A link that answers each question with the events of its script; the last one for ever.

    `asked` holds key and text.
    """

    trouble = ""

    def __init__(self, *script: Sequence[Event], listed: tuple[Session, ...] = ()) -> None:
        self.script = list(script) or [(TextDelta("ok"), TurnEnded("done"))]
        self.asked: list[tuple[str, str]] = []
        self.attached: list[tuple[str, ...]] = []
        self.has_written: dict[str, dict[str, bytes]] = {}
        self.listed = listed
        self.speaking = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.obeys = True
        self.newest: dict[str, LatestTurn] = {}
        self.told: dict[str, Sequence[Event]] = {}
        self.decided: list[tuple[str, ApprovalAnswer, str | None, Content | None]] = []
        self.refuses: NanobotError | None = None

    async def ask(
        self, session_key: str, text: str, files: Sequence[Attachment] = ()
    ) -> AsyncIterator[Event]:
        self.asked.append((session_key, text))
        self.attached.append(tuple(file.name for file in files))
        if text == "too many":
            raise QueueFull("the queue is full")
        for event in self.script.pop(0) if len(self.script) > 1 else self.script[0]:
            yield event
        if not isinstance(event, TurnEnded):
            self.speaking.set()
            await (self.cancelled if self.obeys else asyncio.Event()).wait()
            yield TurnEnded("cancelled")

    async def latest(self, session_key: str) -> LatestTurn | None:
        return self.newest.get(session_key)

    async def take_up(self, turn_id: str) -> AsyncIterator[Event]:
        if turn_id not in self.told:
            raise TurnNotFound(f"no turn {turn_id!r} here")
        for event in self.told[turn_id]:
            yield event

    async def cancel(self) -> None:
        self.cancelled.set()

    async def decide(
        self,
        asked: AskedCall,
        decision: ApprovalAnswer,
        *,
        pattern: str | None = None,
        content: Content | None = None,
    ) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.decided.append((asked.id, decision, pattern, content))

    async def sessions(self, limit: int) -> tuple[Session, ...]:
        return self.listed

    async def files(self, session_key: str) -> tuple[SavableFile, ...]:
        written = self.has_written.get(session_key, {})
        return tuple(SavableFile(path, len(content)) for path, content in written.items())

    async def written(self, session_key: str, path: str) -> bytes:
        try:
            return self.has_written[session_key][path]
        except KeyError:
            raise UploadNotFound(f"No such File object: {path}") from None


class Typed:
    """Inputs, one after another; then the user leaves."""

    known_keys: Sequence[str] = ()

    def __init__(self, *texts: str) -> None:
        self._texts = iter(texts)

    async def read(self, *, is_asked: bool = False) -> str:
        text = next(self._texts, None)
        if text is None:
            raise UserLeft
        return text


async def talk(agent: Agent, *texts: str) -> tuple[str, ChatLoop]:
    stream = Emulator()
    chat = ChatLoop(
        agent, Typed(*texts), PlainView(stream, is_terminal=True), "cli:dm:ann", now=lambda: 1_800_000_000.0
    )
    await chat.run()
    return stream.text, chat


async def test_what_is_typed_is_asked_in_the_conversation_and_the_answer_shown() -> None:
    agent = Agent()
    shown, _ = await talk(agent, "hello", "", "/etc/passwd is what?")
    assert agent.asked == [("cli:dm:ann", "hello"), ("cli:dm:ann", "/etc/passwd is what?")]
    assert shown.splitlines() == ["ok", "", "ok"]


async def test_a_conversation_that_is_continued_shows_what_was_said_last() -> None:
    agent = Agent()
    agent.newest["cli:dm:ann"] = LatestTurn("turn_1", "a\nb\x1b[2J")
    agent.newest["wx:dm:bob"] = LatestTurn("turn_2", "\n".join("abcdefghij"))
    agent.newest["imported"] = LatestTurn("turn_old", "hello")
    agent.told["turn_1"] = [TextDelta("Fine."), TurnEnded("done")]
    agent.told["turn_2"] = [TurnEnded("failed", error=TurnError("model_error", "it broke", 502))]
    shown, _ = await talk(agent, "/session wx:dm:bob", "/session imported", "/session new", "hello")
    assert shown.splitlines() == [
        *("> a", "  b␛[2J", "Fine.", ""),
        *("the conversation is now wx:dm:bob", "> a", *(f"  {each}" for each in "bcdef"), "  … 4 more lines"),
        *("error: it broke", ""),
        *("the conversation is now imported", "> hello"),
        *("the conversation is now new", "nothing has been said in it yet, or it may not be read", "ok"),
    ]


async def test_a_question_that_the_last_answer_ended_with_can_be_answered_after_a_restart() -> None:
    agent = Agent()
    ask = AskedCall("appr_1", "call_1", "run_command", "{}", 1_800_000_100.0)
    asking = MessageAdded(Message("assistant", (Text("May I?"),), "stop", asks=(ask,)))
    agent.newest["cli:dm:ann"] = LatestTurn("turn_1", "list the files")
    agent.told["turn_1"] = [TextDelta("May I?"), asking, TurnEnded("done")]
    shown, _ = await talk(agent, "y")
    assert "y: yes, this once" in shown
    assert agent.asked == [("cli:dm:ann", "yes")]


async def test_new_begins_a_conversation_of_its_own_each_time() -> None:
    agent = Agent()
    await talk(agent, "one", "/new", "two", "/new", "three")
    keys = [key for key, _ in agent.asked]
    assert len(set(keys)) == 3
    assert all(key.startswith("cli:dm:ann") for key in keys)


async def test_session_goes_on_with_another_conversation_and_a_key_that_is_none_is_refused() -> None:
    agent = Agent()
    shown, chat = await talk(agent, "/session wx:dm:bob", "hello", "/session", "/session nanobot:own")
    assert agent.asked == [("wx:dm:bob", "hello")]
    assert chat.session_key == "wx:dm:bob"
    assert "this is wx:dm:bob" in shown and "keys that start with 'nanobot:' are the server's own" in shown


async def test_a_file_goes_along_with_what_is_said_next_in_its_conversation(tmp_path: Path) -> None:
    (tmp_path / "my kites.csv").write_text("red,41\n")
    agent = Agent()
    attach = f"/attach {tmp_path}/my kites.csv"
    shown, _ = await talk(agent, attach, f'/attach "{tmp_path}/my kites.csv"', "sum up", "and now?")
    assert "my kites.csv (7 bytes) goes along with what you say next" in shown
    assert agent.attached == [("my kites.csv", "my kites.csv"), ()]
    agent = Agent()
    shown, _ = await talk(agent, attach, "/new", "hello", f"/attach {tmp_path}/none", f"/attach {tmp_path}")
    assert agent.attached == [()]
    assert f"error: there is no file {tmp_path}/none" in shown and shown.endswith(f"no file {tmp_path}")


async def test_files_that_the_agent_has_written_are_listed_and_copied_but_over_none(tmp_path: Path) -> None:
    agent = Agent()
    agent.has_written["cli:dm:ann"] = {"docs/report.md": b"# Kites", "odd \x1b[2J": b""}
    to = tmp_path / "copy.md"
    shown, _ = await talk(
        agent,
        "/files",
        f"/save docs/report.md {to}",
        f"/save nanobot:workspace/docs/report.md '{tmp_path}'",
        f"/save docs/report.md {to}",
        f"/save none.md {tmp_path}",
        "/save",
        "/session other",
        "/files",
    )
    assert "   7 bytes  docs/report.md" in shown and "0 bytes  odd ␛[2J" in shown
    assert f"saved {to} (7 bytes)" in shown and f"saved {tmp_path}/report.md" in shown
    assert to.read_bytes() == (tmp_path / "report.md").read_bytes() == b"# Kites"
    assert f"error: {to} exists already" in shown and "error: No such File object: none.md" in shown
    assert "error: name the file" in shown and shown.endswith("there are no files yet")


async def test_quit_leaves_and_nothing_after_it_is_asked() -> None:
    agent = Agent()
    await talk(agent, "/quit", "hello")
    assert agent.asked == []


async def test_help_names_every_command() -> None:
    shown, _ = await talk(Agent(), "/help")
    for word in ("/new", "/session", "/sessions", "/help", "/quit"):
        assert word in shown


async def test_a_word_with_a_slash_that_is_no_command_is_not_sent_but_explained() -> None:
    agent = Agent()
    shown, _ = await talk(agent, "/nwe")
    assert agent.asked == []
    assert "/nwe is no command: did you mean /new? /help lists them" in shown
    shown, _ = await talk(agent, "/zzz")
    assert "/zzz is no command: /help lists them" in shown


async def test_sessions_are_listed_safely() -> None:
    shown, _ = await talk(Agent(listed=(Session("a:b\x9b", 12, 0.0, 1_800_000_000.0),)), "/sessions")
    assert "12 messages  a:b�" in shown
    shown, _ = await talk(Agent(), "/sessions")
    assert "there is no conversation yet" in shown


async def test_conversations_that_were_listed_or_left_are_offered_for_completion() -> None:
    source = Typed("/new", "/sessions")
    agent = Agent(listed=(Session("wx:dm:bob", 12, 0.0, 0.0), Session("cli:dm:ann", 2, 0.0, 0.0)))
    await ChatLoop(agent, source, PlainView(Emulator(), is_terminal=True), "cli:dm:ann").run()
    assert source.known_keys == ["cli:dm:ann", "wx:dm:bob"]


async def test_a_turn_that_fails_or_is_refused_is_told_and_the_chat_goes_on() -> None:
    error = TurnError(ModelOverloaded.code, "the provider is overloaded", 503)
    agent = Agent((TextDelta("half"), TurnEnded("failed", error=error)), (TextDelta("ok"), TurnEnded("done")))
    shown, _ = await talk(agent, "one", "too many", "two")
    assert shown.splitlines() == [
        "half",
        "error: the provider is overloaded",
        "",
        "error: the queue is full",
        "ok",
    ]


async def test_ctrl_c_stops_the_turn_keeps_what_was_said_and_the_chat_goes_on() -> None:
    agent = Agent((TextDelta("half an answ"),), (TextDelta("ok"), TurnEnded("done")))
    before = signal.getsignal(signal.SIGINT)
    async with asyncio.TaskGroup() as group:
        chat = group.create_task(talk(agent, "one", "two"))
        await agent.speaking.wait()
        os.kill(os.getpid(), signal.SIGINT)
    assert chat.result()[0].splitlines() == ["half an answ", "stopped", "", "ok"]
    assert signal.getsignal(signal.SIGINT) is before


class Pressed(Typed):
    """Inputs of a user who presses Ctrl-C once more, when the answer has ended and no prompt is there yet."""

    async def read(self, *, is_asked: bool = False) -> str:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0)
        return await super().read(is_asked=is_asked)


async def test_a_ctrl_c_between_an_answer_and_the_prompt_does_not_end_the_chat() -> None:
    stream = Emulator()
    await ChatLoop(Agent(), Pressed("one", "two"), PlainView(stream, is_terminal=True), "k").run()
    assert stream.text.splitlines() == ["ok", "", "ok"]


async def test_ctrl_c_stops_a_list_of_conversations_that_does_not_come() -> None:
    agent = Agent()
    waiting = asyncio.Event()

    async def never(limit: int) -> tuple[Session, ...]:
        waiting.set()
        await asyncio.Event().wait()
        return ()

    agent.sessions = never  # type: ignore[method-assign]
    async with asyncio.TaskGroup() as group:
        chat = group.create_task(talk(agent, "/sessions", "two"))
        await waiting.wait()
        os.kill(os.getpid(), signal.SIGINT)
    assert chat.result()[0].splitlines() == ["stopped", "ok"]


async def test_a_second_ctrl_c_does_not_wait_for_a_turn_that_will_not_end() -> None:
    agent = Agent((TextDelta("half"),))
    agent.obeys = False
    async with asyncio.TaskGroup() as group:
        view = PlainView(Emulator(), is_terminal=True)
        following = group.create_task(follow(agent, view, agent.ask("k", "one")))
        await agent.speaking.wait()
        os.kill(os.getpid(), signal.SIGINT)
        await agent.cancelled.wait()
        os.kill(os.getpid(), signal.SIGINT)
    assert following.result() is None


async def test_a_question_about_a_tool_is_answered_by_a_key() -> None:
    ask = AskedCall("appr_1", "call_1", "send", "{}", 1_800_000_000.0)
    question = MessageAdded(Message("assistant", (Text("May I?"),), "stop", asks=(ask,)))
    asking = (TextDelta("May I?"), question, TurnEnded("done"))
    plain = (TextDelta("ok"), MessageAdded(Message("assistant", (Text("ok"),), "stop")), TurnEnded("done"))
    agent = Agent(asking, plain, asking, plain, asking, plain)
    shown, _ = await talk(agent, "one", "Y", "a", "two", "n", "three")
    assert f"(then Enter, until {time.strftime('%H:%M', time.localtime(1_800_000_000))};" in shown
    # A letter stands for an answer only right after the question.
    assert [text for _, text in agent.asked] == ["one", "yes", "a", "two", "n", "three"]
    agent = Agent(asking)
    await talk(agent, "one", "a", "n", "rather not", "/session other", "y")
    assert [text for _, text in agent.asked] == ["one", "always", "no", "rather not", "y"]


async def test_what_is_neither_a_yes_nor_a_no_leaves_the_question_open_and_that_is_told() -> None:
    ask = AskedCall("appr_1", "call_1", "send", "{}", 1_800_000_000.0)
    asking = (MessageAdded(Message("assistant", (Text("May I?"),), "stop", asks=(ask,))), TurnEnded("done"))
    refused = ToolCall("call_2", "send", "{}", is_withheld=True, approval="appr_1")
    settled = (MessageAdded(Message("assistant", (refused,), "tool_calls")), TurnEnded("done"))
    shown, _ = await talk(Agent(asking, (TurnEnded("done"),)), "one", "maybe?", "n")
    assert shown.count("not run, as that was neither a yes nor a no:\n  send\n") == 1
    other = msgspec.structs.replace(ask, id="appr_2", arguments='{"to": "ann"}')
    both = (MessageAdded(Message("assistant", (Text("?"),), "stop", asks=(ask, other))), TurnEnded("done"))
    shown, _ = await talk(Agent(both, settled), "one", "go on")
    assert "neither a yes nor a no:\n  send ann\nask for it again" in shown
    shown, _ = await talk(Agent(asking, settled), "one", "nein")
    assert "neither" not in shown and "✗ send (not run)" in shown
    shown, _ = await talk(Agent(asking), "one")
    assert "the question stands until " in shown.splitlines()[-1]
    form = msgspec.structs.replace(ask, question=ToolQuestion("t", "Who?"))
    asking = (MessageAdded(Message("assistant", (Text("Who?"),), "stop", asks=(form,))), TurnEnded("done"))
    shown, _ = await talk(Agent(asking, (TurnEnded("done"),)), "one", "Ann, 7")
    assert "that was no answer: the tool goes on waiting" in shown


def asking(*asks: AskedCall) -> Sequence[Event]:
    return (
        TextDelta("May I?"),
        MessageAdded(Message("assistant", (Text("May I?"),), "stop", asks=asks)),
        TurnEnded("done"),
    )


FORM = AskedCall(
    "appr_1",
    "c1",
    "ship",
    "{}",
    1_800_000_100.0,
    question=ToolQuestion(
        "the MCP server shop",
        "Where to?",
        (
            QuestionField("name", "text", title="Name\x1b[2J", description="who gets it", is_required=True),
            QuestionField("count", "integer", least=1, most=9, default=1),
            QuestionField("note", "text"),
            QuestionField(
                "size", "choice", choices=(QuestionChoice("s", "small"), QuestionChoice("l", "large"))
            ),
        ),
    ),
)
CALL = AskedCall("appr_2", "c2", "run_command", "{}", 1_800_000_100.0)


async def test_the_form_of_a_tool_is_filled_in_field_by_field() -> None:
    agent = Agent(asking(FORM), (TextDelta("Thanks."), TurnEnded("done")))
    shown, _ = await talk(agent, "ship it", "f", "", "Ann", "ten", "2", "", "large", "hello")
    assert agent.decided == [("appr_1", "once", None, {"name": "Ann", "count": 2, "size": "l"})]
    assert [text for _, text in agent.asked] == ["ship it", "Go on.", "hello"]
    assert "your next line is the answer   f: fill in all of it   n: no answer" in shown
    assert "1 of 4  name (Name␛[2J): a text - who gets it" in shown
    assert "2 of 4  count: a whole number, 1 to 9 (1 if you leave it out)" in shown
    assert "3 of 4  note: a text, may be left out" in shown
    assert "name is missing: it must be a text" in shown
    assert "count must be a whole number, 1 to 9" in shown


async def test_a_form_is_left_without_an_answer_and_can_be_begun_anew() -> None:
    agent = Agent(asking(FORM), (TextDelta("Thanks."), TurnEnded("done")))
    shown, _ = await talk(agent, "ship it", "f", "Bob", "/back", "f", "Ann", "", "", "s")
    assert agent.decided == [("appr_1", "once", None, {"name": "Ann", "size": "s", "count": 1})]
    assert "nothing is answered yet" in shown


async def test_a_form_that_was_answered_elsewhere_meanwhile_says_so() -> None:
    agent = Agent(asking(FORM), (TextDelta("Thanks."), TurnEnded("done")))
    agent.refuses = ApprovalClosed("it was answered with 'deny'")
    shown, _ = await talk(agent, "ship it", "f", "Ann", "", "", "s")
    assert "error: it was answered with 'deny'" in shown
    assert [text for _, text in agent.asked] == ["ship it"]


async def test_words_beside_a_form_are_a_message_and_n_answers_nothing() -> None:
    agent = Agent(asking(FORM), asking(FORM), (TextDelta("ok"), TurnEnded("done")))
    await talk(agent, "ship it", "what for?", "n")
    assert [text for _, text in agent.asked] == ["ship it", "what for?", "no"]
    assert agent.decided == []


async def test_a_tool_is_allowed_in_all_conversations_of_a_pattern() -> None:
    agent = Agent(asking(CALL, CALL), (TextDelta("Done."), TurnEnded("done")))
    await talk(agent, "do it", "/always cli:*")
    assert agent.decided == [("appr_2", "rule", "cli:*", None)] * 2
    assert [text for _, text in agent.asked] == ["do it", "Go on."]


async def test_where_nothing_is_asked_or_no_pattern_is_named_no_rule_is_made() -> None:
    agent = Agent(asking(CALL), asking(FORM), (TextDelta("ok"), TurnEnded("done")))
    shown, _ = await talk(agent, "/always *", "do it", "/always", "ship it", "/always *")
    assert agent.decided == []
    assert shown.count("there is no call to allow") == 2
    assert "/always needs a pattern" in shown
    assert [text for _, text in agent.asked] == ["do it", "ship it"]


async def test_a_rule_that_is_refused_leaves_the_question_as_it_is() -> None:
    agent = Agent(asking(CALL), (TextDelta("Done."), TurnEnded("done")))
    agent.refuses = ApprovalClosed("too late")
    shown, _ = await talk(agent, "do it", "/always cli:*", "y")
    assert "error: too late" in shown
    assert [text for _, text in agent.asked] == ["do it", "yes"]
