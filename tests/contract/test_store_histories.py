"""Whatever a client did to its copy of a conversation, the model is shown what the client's list says."""

from collections.abc import Iterator, Sequence
from itertools import count

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanobot.core.event import MessageAdded, ToolFinished, ToolStarted, TurnEnded
from nanobot.core.message import Message, Text, ToolCall, ToolResult, user
from nanobot.core.sessions import Row
from nanobot.core.turn import Identity, Turn
from nanobot.stores.sql import admission, sent_list
from tests.contract.store_harness import StoreHarness, done, said

_keys = count(1)
CHANGES = (
    "nothing", "drop", "edit", "insert", "swap", "trim", "regenerate", "one by one", "other ids", "think",
    "unheard of",
)  # fmt: skip
TEXTS = st.sampled_from(["go on", "why?", "ok", "tell me more"])
STEPS = st.lists(
    st.tuples(
        st.sampled_from(CHANGES),
        st.integers(0, 20),
        TEXTS,
        st.sampled_from(["words", "words", "own tool", "calls", "words and a call"]),
    ),
    min_size=2,
    max_size=9,
)


def flat(messages: Sequence[Message]) -> list[str]:
    """Return what the messages say, however calls that belong together are listed."""
    lines: list[str] = []
    block: list[str] = []
    for message in messages:
        text = message.text.replace("<think>hm</think>", "").strip()
        if text:
            lines += [*sorted(block), f"{message.role}: {text}"]
            block = []
        block += [f"call {call.name} {call.arguments}" for call in message.tool_calls]
        block += [f"result {result.content}" for result in message.tool_results]
    return lines + sorted(block)


def visible(rows: Sequence[Row]) -> list[Message]:
    """Return what a client holds of the rows: inputs, and one message for what a turn said."""
    found: list[Message] = []
    turn_id: str | None = None
    for row in rows:
        message = row.message
        if row.is_input:
            found.append(message)
        elif message.role == "assistant":
            spoken = Message("assistant", (Text(message.text), *message.client_calls))
            if turn_id == row.turn_id and found[-1].role == "assistant":
                text = f"{found[-1].text}\n\n{message.text}"
                spoken = Message("assistant", (Text(text), *message.client_calls))
                found.pop()
            found.append(spoken)
        turn_id = None if row.is_input else row.turn_id
    return found


def changed(
    messages: list[Message], change: str, at: int, text: str, numbers: Iterator[int]
) -> list[Message]:
    """Return the client's list with one change, as a user or a sanitiser makes it."""
    if not messages or change in ("nothing", "regenerate"):
        return messages
    index = at % len(messages)
    at_index = messages[index]
    if change == "drop":
        return messages[:index] + messages[index + 1 :]
    if change == "edit" and at_index.role != "tool":
        kept = tuple(part for part in at_index.parts if not isinstance(part, Text))
        edited = msgspec.structs.replace(at_index, parts=(Text(f"{text}, edited {next(numbers)}"), *kept))
        return [*messages[:index], edited, *messages[index + 1 :]]
    if change == "edit":
        results = tuple(ToolResult(one.call_id, f"edited {next(numbers)}") for one in at_index.tool_results)
        return [*messages[:index], Message("tool", results), *messages[index + 1 :]]
    if change == "insert":
        return [*messages[:index], user(text), said(f"inserted {text}"), *messages[index:]]
    if change == "swap" and "tool" not in [each.role for each in messages[index : index + 2]]:
        return [*messages[:index], *messages[index + 1 : index + 2], at_index, *messages[index + 2 :]]
    if change == "trim":
        return messages[index:]
    if change == "unheard of":
        return [user(f"another {next(numbers)}"), said("talk"), *messages[index:]]
    if change == "think":
        return [
            said(f"<think>hm</think>{each.text}")
            if each.role == "assistant" and not each.tool_calls
            else each
            for each in messages
        ]
    if change == "one by one":
        return listed_one_by_one(messages)
    return [renamed(each) for each in messages] if change == "other ids" else messages


def listed_one_by_one(messages: list[Message]) -> list[Message]:
    results = {one.call_id: Message("tool", (one,)) for each in messages for one in each.tool_results}
    listed: list[Message] = []
    for each in messages:
        if len(each.tool_calls) < 2:
            listed += [each] if each not in listed or each.role != "tool" else []
            continue
        words = tuple(part for part in each.parts if isinstance(part, Text))
        for number, call in enumerate(each.tool_calls):
            listed.append(Message("assistant", (call,) if number else (*words, call)))
            listed += [results[call.id]] if call.id in results else []
    return listed


def with_their_calls(messages: list[Message]) -> list[Message]:
    """Return the messages without results whose calls are gone, which mean nothing to any model."""
    kept: list[Message] = []
    shown: set[str] = set()
    for each in messages:
        if each.role == "assistant":
            shown.update(call.id for call in each.tool_calls)
        if each.role != "tool" or shown.issuperset(result.call_id for result in each.tool_results):
            kept.append(each)
    return kept


def renamed(message: Message) -> Message:
    """Return the message with other ids in calls and results, the same in both."""
    parts = [
        msgspec.structs.replace(part, id=part.id.replace("_", ""))
        if isinstance(part, ToolCall)
        else msgspec.structs.replace(part, call_id=part.call_id.replace("_", ""))
        if isinstance(part, ToolResult)
        else part
        for part in message.parts
    ]
    return msgspec.structs.replace(message, parts=tuple(parts))


def split(messages: list[Message]) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
    """Return what stands up to the last assistant message, and what is new."""
    last = max((index for index, each in enumerate(messages) if each.role == "assistant"), default=-1)
    return tuple(messages[: last + 1]), tuple(messages[last + 1 :])


async def answer(harness: StoreHarness, how: str, number: int) -> Message:
    """Let the model answer the turn that was just admitted; return what the client holds of it."""
    claim = await harness.engine.claim()
    if how in ("calls", "words and a call"):
        cities = ("Oslo", "Rome") if how == "calls" else ("Bern",)
        calls = [ToolCall(f"call_{number}_{city}", "look", f'{{"city":"{city}"}}', True) for city in cities]
        words = () if how == "calls" else (Text(f"One moment, {number}."),)
        message = Message("assistant", (*words, *calls), "tool_calls")
        await harness.store.append(claim, (MessageAdded(message), TurnEnded("done")))
        return message
    if how == "own tool":
        call = ToolCall(f"own_{number}", "calculate", "{}")
        step = Message("assistant", (Text(f"Let me see, {number}."), call), "tool_calls")
        await harness.store.append(claim, (MessageAdded(step), ToolStarted(call)))
        await harness.store.append(claim, (ToolFinished(Message("tool", (ToolResult(call.id, "42"),))),))
        await harness.store.append(claim, done("It is 42."))
        return said(f"Let me see, {number}.\n\nIt is 42.")
    await harness.store.append(claim, done(f"answer {number}"))
    return said(f"answer {number}")


async def paths(harness: StoreHarness, key: str) -> list[list[int]]:
    """Return the rows of every branch."""
    return [
        [row.seq for row in await harness.store.messages(key, limit=1000, tip=branch.tip)]
        for branch in await harness.store.branches(key)
    ]


def next_request(
    client: list[Message], change: str, at: int, text: str, numbers: Iterator[int]
) -> list[Message]:
    """Return the client's list with one change, and with what it asks next."""
    client = with_their_calls(changed(client, change, at, text, numbers))
    last = client[-1] if client else None
    questions = [index for index, each in enumerate(client) if each.role == "user"]
    if change == "regenerate" and questions:
        return client[: questions[at % len(questions)] + 1]
    if last is not None and last.tool_calls:
        results = (ToolResult(call.id, f"for {call.id}") for call in last.tool_calls)
        return [*client, *(Message("tool", (result,)) for result in results)]
    return [*client, user(f"{text} {next(numbers)}")]


@given(steps=STEPS, is_whole=st.booleans())
async def test_the_model_is_shown_what_the_clients_list_says_and_no_branch_is_lost(
    harness: StoreHarness, steps: list[tuple[str, int, str, str]], is_whole: bool
) -> None:
    key, numbers = f"session {next(_keys)}", count(1)
    client: list[Message] = []
    before: list[list[int]] = []
    for change, at, text, how in steps:
        client = next_request(client, change, at, text, numbers)
        earlier, new = split(client)
        turn = Turn(f"turn_{key}_{next(numbers)}", key, new, "api", is_whole=is_whole)
        await harness.store.admit(turn, Identity(turn.id.encode().ljust(32)), earlier)
        reply = await answer(harness, how, next(numbers))
        client.append(reply)
        rows = await harness.store.messages(key, limit=1000)
        shown, sent = visible(rows), flat(client)
        first = next((at for at in range(len(shown)) if flat(shown[at:]) == sent), None)
        assert first is not None, (change, flat(shown), sent)
        assert not is_whole or first == 0, (change, flat(shown), sent)
        after = await paths(harness, key)
        for path in before:
            assert any(kept[: len(path)] == path for kept in after), "a branch was lost"
        before = after


WAYS = ((), (sent_list,), (sent_list, admission))
"""In which places a list is taken for a long one: nowhere, when it is compared, when it is taken in, too."""


async def branch_texts(harness: StoreHarness, key: str) -> list[list[str]]:
    """Return what the rows of every branch say, and who put them there."""
    return [
        [
            f"{row.is_input} {row.message}"
            for row in await harness.store.messages(key, limit=1000, tip=branch.tip)
        ]
        for branch in await harness.store.branches(key)
    ]


@given(steps=STEPS, is_whole=st.booleans())
async def test_a_list_means_the_same_whether_it_is_long_or_short(
    harness: StoreHarness, steps: list[tuple[str, int, str, str]], is_whole: bool
) -> None:
    session, numbers = next(_keys), count(1)
    client: list[Message] = []
    for change, at, text, how in steps:
        client = next_request(client, change, at, text, numbers)
        earlier, new = split(client)
        number = next(numbers)
        notes, histories, branches, replies = [], [], [], []
        for way, places in enumerate(WAYS):
            key = f"session {session} {way}"
            turn = Turn(f"turn_{key}_{number}", key, new, "api", is_whole=is_whole)
            identity = Identity(turn.id.encode().ljust(32))
            with pytest.MonkeyPatch.context() as patch:
                for place in places:
                    patch.setattr(place, "is_long", bool)
                admitted = await harness.store.admit(turn, identity, earlier)
                again = await harness.store.admit(
                    turn, msgspec.structs.replace(identity, is_retry=True), earlier
                )
            assert (again.joined, again.answered_by) == (True, turn.id)
            notes.append(admitted.history)
            replies.append(await answer(harness, how, number))
            histories.append([str(row.message) for row in await harness.store.messages(key, limit=1000)])
            branches.append(await branch_texts(harness, key))
        client.append(replies[0])
        assert notes[1:] == notes[:1] * 2
        assert histories[1:] == histories[:1] * 2
        assert branches[1:] == branches[:1] * 2
