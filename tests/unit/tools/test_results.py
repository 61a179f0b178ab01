"""read_result shows the results of its own conversation, from any place on."""

import re

import msgspec

from nanobot.agent.toolset import Toolset
from nanobot.core.cut_result import result_name
from nanobot.core.dispatch import History
from nanobot.core.message import Message, ToolCall, ToolResult
from nanobot.tools.results import read_result

LINES = "".join(f"line {number}\n" for number in range(1, 5_001))


class Sessions:
    """Results by session key, oldest first."""

    def __init__(self, **results: list[ToolResult]) -> None:
        self.results = results

    async def history(self, session_key: str, budget_tokens: int, *, is_whole: bool) -> History:
        messages = []
        for result in self.results.get(session_key, []):
            messages.append(Message("assistant", (ToolCall(result.call_id, "look", "{}"),), "tool_calls"))
            messages.append(Message("tool", (result,)))
        return History(tuple(messages))


async def read(
    sessions: Sessions, result: str = "", start: str = "", find: str = "", *, key: str = "a"
) -> str:
    arguments = {"result": result, "from": start, "find": find}
    written = {name: value for name, value in arguments.items() if value}
    called = ToolCall("r1", "read_result", msgspec.json.encode(written).decode())
    toolset = Toolset((read_result(sessions),))
    return (await toolset.run(called, turn_id="t", session_key=key, result_tokens=1_000)).content


async def test_a_result_is_shown_from_a_line_on_and_says_where_it_goes_on() -> None:
    result = ToolResult("c1", LINES)
    shown = await read(Sessions(a=[result]), result=result_name(result), start="line 1,200")
    assert "\nline 1200\nline 1201\n" in shown
    assert shown.startswith(f"(Result {result_name(result)}: 5,000 lines, ")
    assert len(shown) <= 4_000


async def test_following_the_notes_reads_all_of_it_once() -> None:
    for content in (LINES, "x" * 30_000, "ünïcode\n" * 4_000, "a" * 9_000 + "\n" + LINES):
        result = ToolResult("c1", content)
        start, seen = "line 1", ""
        for _ in range(200):
            shown = await read(Sessions(a=[result]), result=result_name(result), start=start)
            text = shown.partition("\n")[2]
            found = re.search(r"\n\(It goes on at (\w+ \d+): call read_result [^\n]*\)$", text)
            if found is None:
                seen += text
                break
            seen += text[: found.start()] + ("\n" if found[1].startswith("line") else "")
            start = found[1]
        assert seen == content


async def test_without_a_name_the_newest_result_is_shown() -> None:
    shown = await read(Sessions(a=[ToolResult("c1", "old"), ToolResult("c2", "new")]))
    assert shown.endswith("\nnew")


async def test_of_two_results_with_one_call_id_the_name_says_which() -> None:
    first, second = ToolResult("c1", "FIRST"), ToolResult("c1", "SECOND")
    sessions = Sessions(a=[first, second])
    assert (await read(sessions, result=result_name(first))).endswith("FIRST")
    assert (await read(sessions, result="c1")).endswith("SECOND")


async def test_results_of_other_conversations_do_not_exist() -> None:
    secret = ToolResult("c1", "SECRET")
    sessions = Sessions(a=[ToolResult("c2", "mine")], b=[secret])
    for name in (result_name(secret), "c1"):
        shown = await read(sessions, result=name)
        assert "SECRET" not in shown and "there is no result" in shown


async def test_a_place_beyond_the_end_or_that_is_none_is_an_error_that_says_the_size() -> None:
    sessions = Sessions(a=[ToolResult("c1", LINES)])
    assert "it has 5,000 lines" in await read(sessions, start="line 9000")
    assert "is no place in a result" in await read(sessions, start="the middle")
    assert "there is no result yet" in await read(Sessions())


async def test_a_part_of_what_strangers_wrote_stands_between_its_marks() -> None:
    mark = "untrusted 0123456789abcdef01234567"
    content = f"What this is.\n<{mark}>\n{LINES}</{mark}>\n(cut)"
    sessions = Sessions(a=[ToolResult("c1", content)])
    for start, begins in (("line 1", "What this is."), ("line 100", f"<{mark}>\nline 98")):
        _, _, shown = (await read(sessions, "c1", start)).partition("\n")
        assert shown.startswith(begins) and shown.count(f"<{mark}>") == shown.count(f"</{mark}>") == 1
    (_, _, end) = (await read(sessions, "c1", "line 5,000")).partition("\n")
    assert end.startswith(f"<{mark}>\nline 4998") and end.endswith(f"</{mark}>\n(cut)")
    assert mark not in await read(sessions, "c1", "line 5,004")


# Finding lines ------------------------------------------------------------------------------------


async def test_lines_with_the_words_are_found_in_all_results_and_say_where_they_stand() -> None:
    first = ToolResult("c1", "nothing\nThe access code is K7-Q\n")
    sessions = Sessions(a=[first, ToolResult("c2", "an access road\n")])
    assert await read(sessions, find="Access CODE") == (
        f"[look, result {result_name(first)}, line 2] The access code is K7-Q"
    )
    assert (await read(sessions, find="access")).count("\n") == 1


async def test_of_a_long_line_the_part_with_the_word_is_shown() -> None:
    found = await read(
        Sessions(a=[ToolResult("c1", "x" * 50_000 + " needle " + "y" * 50_000)]), find="needle"
    )
    assert "needle" in found and len(found) < 500


async def test_a_line_of_what_strangers_wrote_stands_between_its_marks() -> None:
    mark = "untrusted 0123456789abcdef01234567"
    content = f"What this is.\n<{mark}>\nhay\nthe needle\nhay\n</{mark}>\n(cut: a needle)"
    found = await read(Sessions(a=[ToolResult("c1", content)]), find="needle")
    name = result_name(ToolResult("c1", content))
    assert found == (
        f"[look, result {name}, line 4] <{mark}>\nthe needle\n</{mark}>\n"
        f"[look, result {name}, line 7] (cut: a needle)"
    )


async def test_what_it_finds_is_bounded() -> None:
    found = await read(Sessions(a=[ToolResult("c1", "needle and more\n" * 10_000)]), find="needle")
    assert found.count("needle") == 20


async def test_words_that_no_result_has_are_told() -> None:
    assert "No result of this conversation has a line with: needle" in await read(
        Sessions(a=[ToolResult("c1", "hay")]), find="needle"
    )
    assert "needle" in await read(Sessions(b=[ToolResult("c1", "needle")]), find="needle")
    assert "No result" in await read(Sessions(b=[ToolResult("c1", "needle")]), find="needle", key="a")
