"""What matching a client's list costs grows with its length, not with the square of it."""

import sys
from collections.abc import Callable
from types import FrameType

from nanobot.core.message import Message, ToolCall, ToolResult, user
from nanobot.stores.sql import matching, transcript
from nanobot.stores.sql.sent_list import SentList
from nanobot.testing import MemoryData

_FEW = 200


def calls_of(run: Callable[[], object]) -> int:
    """Return how many functions were called."""
    count = 0

    def note(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(None)
    return count


def asked(number: int, id_: str) -> Message:
    return Message("assistant", (ToolCall(id_, "f", f'{{"n": {number}}}', True),), "tool_calls")


def answer(id_: str) -> Message:
    return Message("tool", (ToolResult(id_, "42"),))


def growth(make: Callable[[int], Callable[[], object]]) -> float:
    """Return how much more it costs where the list is four times as long."""
    return calls_of(make(4 * _FEW)) / calls_of(make(_FEW))


def matched(sent: tuple[Message, ...]) -> Callable[[], object]:
    """Return the matching of a list with the transcript of another."""

    def run() -> None:
        data = MemoryData()
        head = transcript.open_session(data.db, "a", 0)
        transcript.append(data.db, head, [user("x")] * 8, turn=None, is_input=True, now=0)
        transcript.save_head(data.db, head)
        matching.match(data.db, head, SentList(sent), (user("new"),), is_whole=False)
        data.close()

    return run


def test_results_that_stand_before_their_calls_are_put_in_order_at_once() -> None:
    def make(count: int) -> Callable[[], object]:
        results = tuple(answer(f"c{number}") for number in range(count))
        return matched((user("go"), *results, *(asked(number, f"c{number}") for number in range(count))))

    assert growth(make) < 6


def test_results_whose_calls_have_other_ids_are_matched_at_once() -> None:
    def make(count: int) -> Callable[[], object]:
        stored = Message(
            "assistant",
            tuple(ToolCall(f"s{number}", "f", f'{{"n": {number}}}', True) for number in range(count)),
            "tool_calls",
        )
        shown = tuple(asked(number, f"c{number}") for number in range(count))
        results = tuple(answer(f"c{number}") for number in reversed(range(count)))

        def run() -> None:
            data = MemoryData()
            head = transcript.open_session(data.db, "a", 0)
            transcript.append(data.db, head, [user("go"), stored], turn=None, is_input=True, now=0)
            _, new = matching.answer_calls(data.db, head, None, SentList((user("go"), *shown)), (), results)
            assert [message.tool_results[0].call_id for message in new[:2]] == [
                f"s{count - 1}",
                f"s{count - 2}",
            ]
            data.close()

        return run

    assert growth(make) < 6


def test_a_list_like_many_stretches_of_the_transcript_is_looked_for_within_bounds() -> None:
    def make(count: int) -> Callable[[], object]:
        def run() -> None:
            data = MemoryData()
            head = transcript.open_session(data.db, "a", 0)
            same = [user("x")] * count
            transcript.append(data.db, head, [user("first"), *same], turn=None, is_input=True, now=0)
            transcript.save_head(data.db, head)
            matching.match(data.db, head, SentList((*same, user("y"))), (user("new"),), is_whole=False)
            data.close()

        return run

    # Each of the 1,500 rows would be compared with each of the 1,500 messages.
    assert calls_of(make(1_500)) < 1_500 * 1_500
