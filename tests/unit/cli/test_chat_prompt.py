import asyncio
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from nanobot.cli.chat_prompt import ChatCompleter, ChatPrompt, UserLeft
from tests.asgi import BOUND_S

ENTER, ALT_ENTER, UP, CTRL_C, CTRL_D = "\r", "\x1b\r", "\x1b[A", "\x03", "\x04"


@asynccontextmanager
async def typed(directory: Path, keys: str) -> AsyncIterator[ChatPrompt]:
    """Yield a prompt at which `keys` are pressed."""
    with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
        pipe.send_text(keys)
        yield ChatPrompt(directory, ["/new", "/help"], output=DummyOutput())


async def read(directory: Path, keys: str) -> str:
    async with asyncio.timeout(BOUND_S), typed(directory, keys) as prompt:
        return await prompt.read()


async def test_enter_sends_and_white_space_around_it_is_dropped(tmp_path: Path) -> None:
    assert await read(tmp_path, "  hello 你好 " + ENTER) == "hello 你好"


async def test_alt_enter_and_a_backslash_before_enter_begin_another_line(tmp_path: Path) -> None:
    assert await read(tmp_path, "one" + ALT_ENTER + "two\\" + ENTER + "three" + ENTER) == "one\ntwo\nthree"


async def test_a_paste_of_several_lines_is_one_input(tmp_path: Path) -> None:
    assert await read(tmp_path, "\x1b[200~one\r\n\r\n  two\n\x1b[201~" + ENTER) == "one\n\n  two"


async def test_ctrl_c_drops_what_was_typed(tmp_path: Path) -> None:
    assert await read(tmp_path, "wrong" + CTRL_C + "right" + ENTER) == "right"


async def test_ctrl_c_at_an_empty_prompt_asks_and_a_second_one_leaves(tmp_path: Path) -> None:
    """The first may have been meant for an answer that has just ended."""
    assert await read(tmp_path, CTRL_C + "hello" + ENTER) == "hello"
    assert await read(tmp_path, CTRL_C + "wrong" + CTRL_C + "right" + ENTER) == "right"
    for keys in (CTRL_C + CTRL_C, CTRL_C + CTRL_D):
        with pytest.raises(UserLeft):
            await read(tmp_path, keys)


async def test_what_was_typed_before_a_question_is_no_answer_to_it_until_enter_is_pressed_again(
    tmp_path: Path,
) -> None:
    with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
        prompt = ChatPrompt(tmp_path, [], output=DummyOutput())
        async with asyncio.timeout(BOUND_S):
            pipe.send_text("delete a.txt" + ENTER + "y" + UP + ENTER)
            assert await prompt.read() == "delete a.txt"
            pipe.send_text("es, do it" + ENTER)
            assert await prompt.read(is_asked=True) == "yes, do it"
            pipe.send_text("one" + ENTER + "two" + ENTER)
            assert [await prompt.read(), await prompt.read()] == ["one", "two"]


def test_tab_completes_commands_paths_of_files_that_are_to_go_along_and_keys_of_conversations(
    tmp_path: Path,
) -> None:
    (tmp_path / "kites.csv").touch()
    completer = ChatCompleter(["/help", "/attach"], lambda: ["cli:dm:ann:2", "wx:dm:bob"])

    def completed(typed: str) -> list[str]:
        event = CompleteEvent(completion_requested=True)
        found = completer.get_completions(Document(typed), event)
        return [typed[: len(typed) + each.start_position] + each.text for each in found]

    assert completed("/he") == ["/help"]
    assert completed(f"/attach {tmp_path}/ki") == [f"/attach {tmp_path}/kites.csv"]
    assert completed("/session cli:") == ["/session cli:dm:ann:2"]
    assert completed("help me with /at") == []


async def test_ctrl_d_leaves(tmp_path: Path) -> None:
    with pytest.raises(UserLeft):
        await read(tmp_path, CTRL_D)


async def test_up_finds_what_was_typed_before_the_last_start_and_only_the_owner_may_read_it(
    tmp_path: Path,
) -> None:
    directory = tmp_path / "new"
    await read(directory, "first" + ENTER)
    await read(directory, "second\\" + ENTER + "line" + ENTER)
    assert await read(directory, UP + UP + UP + ENTER) == "first"
    assert stat.S_IMODE((directory / "chat_history").stat().st_mode) == 0o600


async def test_where_the_history_cannot_be_kept_the_chat_works_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert await read(tmp_path / "file" / "below", "hello" + ENTER) == "hello"
