"""Branches: what there is, going back, sessions made of part of another, and of what comes from elsewhere."""

import pytest

from nanobot.core.errors import MessageNotFound, SessionBusy, SessionExists, SessionNotFound
from nanobot.core.event import MessageAdded, ToolFinished, ToolStarted, TurnEnded
from nanobot.core.message import Message, Text, ToolCall, ToolResult, user
from nanobot.core.sessions import ImportedMessage
from tests.contract.store_harness import StoreHarness, done, failed, said


async def tips(harness: StoreHarness, key: str) -> list[tuple[int, int, int, bool]]:
    return [
        (each.tip, each.messages, each.parted_at, each.is_current)
        for each in await harness.store.branches(key)
    ]


async def test_rewinding_moves_the_tip_and_keeps_what_came_after_as_a_branch(harness: StoreHarness) -> None:
    await harness.say("a", "1", "one")
    await harness.say("a", "2", "two")
    assert await tips(harness, "a") == [(4, 4, 4, True)]
    harness.clock.advance(1)
    session = await harness.store.rewind_session("a", 2)
    assert (session.messages, session.updated_at) == (2, harness.clock.now())
    assert await harness.texts("a") == ["U:1", "A:one"]
    assert await tips(harness, "a") == [(4, 4, 2, False), (2, 2, 2, True)]
    await harness.say("a", "2b", "two b")
    assert await harness.texts("a") == ["U:1", "A:one", "U:2b", "A:two b"]
    assert await tips(harness, "a") == [(6, 4, 6, True), (4, 4, 2, False)]
    rows = await harness.store.messages("a", limit=10, tip=4)
    assert [row.message.text for row in rows] == ["1", "one", "2", "two"]


async def test_rewinding_to_another_branch_takes_the_transcript_there(harness: StoreHarness) -> None:
    await harness.say("a", "1", "one")
    await harness.say("a", "2", "two")
    await harness.store.rewind_session("a", 2)
    await harness.say("a", "2b", "two b")
    await harness.store.rewind_session("a", 4)
    assert await harness.texts("a") == ["U:1", "A:one", "U:2", "A:two"]
    await harness.say("a", "3", "three")
    assert await harness.texts("a") == ["U:1", "A:one", "U:2", "A:two", "U:3", "A:three"]
    assert await tips(harness, "a") == [(8, 6, 8, True), (6, 4, 2, False)]
    assert (await harness.store.history("a", 10_000)).messages[-1].text == "three"


async def test_the_model_is_shown_what_the_transcript_was_rewound_to(harness: StoreHarness) -> None:
    await harness.say("a", "1", "one")
    await harness.say("a", "2", "two")
    await harness.store.rewind_session("a", 2)
    await harness.start("a", "3")
    assert [message.text for message in (await harness.store.history("a", 10_000)).messages] == [
        "1",
        "one",
        "3",
    ]


async def test_a_busy_session_is_not_rewound(harness: StoreHarness) -> None:
    await harness.say("a", "1", "one")
    claim = await harness.start("a", "2")
    with pytest.raises(SessionBusy):
        await harness.store.rewind_session("a", 1)
    await harness.store.append(claim, done("two"))
    await harness.store.rewind_session("a", 1)


async def test_what_leaves_no_trace_is_no_branch_and_no_place_to_go(harness: StoreHarness) -> None:
    await harness.say("a", "1", "one")
    await harness.say("a", "title", "T", trace=False)
    claim = await harness.start("a", "lost")
    await harness.store.append(claim, (failed(retryable=False),))
    await harness.say("a", "2", "two")
    assert await harness.texts("a") == ["U:1", "A:one", "U:2", "A:two"]
    assert [tip for tip, *_ in await tips(harness, "a")] == [7]
    for seq in (3, 4, 5, 99):
        with pytest.raises(MessageNotFound):
            await harness.store.rewind_session("a", seq)
        with pytest.raises(MessageNotFound):
            await harness.store.messages("a", limit=1, tip=seq)
        with pytest.raises(MessageNotFound):
            await harness.store.fork_session("a", "b", at=seq)


async def test_a_running_turn_that_leaves_no_trace_is_not_read_meanwhile(harness: StoreHarness) -> None:
    await harness.say("a", "1", "one")
    claim = await harness.start("a", "title", trace=False)
    assert await harness.texts("a") == ["U:1", "A:one"]
    assert await tips(harness, "a") == [(2, 2, 2, True)]
    assert (await harness.store.session("a")).messages == 2
    assert [session.messages for session in await harness.store.sessions(limit=2)] == [2]
    await harness.store.append(claim, done("T"))
    assert await harness.texts("a") == ["U:1", "A:one"]


async def test_pages_lead_through_a_branched_transcript_in_both_directions(harness: StoreHarness) -> None:
    for number in range(4):
        await harness.say("a", f"{number}", f"re {number}")
    await harness.store.rewind_session("a", 4)
    for number in range(4, 6):
        await harness.say("a", f"{number}", f"re {number}")
    expected = [1, 2, 3, 4, 9, 10, 11, 12]
    for order in ("asc", "desc"):
        seqs: list[int] = []
        while page := await harness.store.messages(
            "a", limit=3, after_seq=seqs[-1] if seqs else 0, order=order
        ):
            seqs.extend(row.seq for row in page)
        assert seqs == (expected if order == "asc" else expected[::-1])


async def test_a_page_of_messages_ends_before_it_is_too_large_and_leads_to_the_rest(
    harness: StoreHarness,
) -> None:
    for number in range(3):
        await harness.say("a", f"{number}" * 1_000, "x" * 5_000)
    for order in ("asc", "desc"):
        sizes: list[int] = []
        seqs: list[int] = []
        has_more = True
        while has_more:
            page = await harness.store.message_page(
                "a", limit=4, max_bytes=4_000, after_seq=seqs[-1] if seqs else 0, order=order
            )
            sizes.append(page.size_bytes)
            seqs.extend(row.seq for row in page.rows)
            has_more = page.has_more
        assert seqs == ([1, 2, 3, 4, 5, 6] if order == "asc" else [6, 5, 4, 3, 2, 1])
        # Each message of 1 kB shares a page with none of 5 kB, which is a page of its own.
        assert len(sizes) == 6 and max(sizes) < 6_000


async def test_a_page_of_messages_says_whether_the_limit_was_its_end(harness: StoreHarness) -> None:
    for number in range(2):
        await harness.say("a", f"{number}", "x")
    pages = [await harness.store.message_page("a", limit=limit, max_bytes=1 << 20) for limit in (1, 3, 4, 5)]
    assert [(len(page.rows), page.has_more) for page in pages] == [
        (1, True),
        (3, True),
        (4, False),
        (4, False),
    ]


# Fork ---------------------------------------------------------------------------------------------


async def test_a_fork_has_the_messages_up_to_there_and_goes_its_own_way(harness: StoreHarness) -> None:
    await harness.say("a", "1", "one")
    await harness.say("a", "2", "two")
    await harness.store.rename_session("a", title="Numbers", metadata={"k": "v"})
    harness.clock.advance(1)
    session = await harness.store.fork_session("a", "b", at=3)
    assert (session.key, session.messages, session.title, session.created_at) == (
        "b",
        3,
        "Numbers",
        harness.clock.now(),
    )
    await harness.say("b", "more", "three")
    await harness.say("a", "3", "drei")
    assert await harness.texts("a") == ["U:1", "A:one", "U:2", "A:two", "U:3", "A:drei"]
    assert await harness.texts("b") == ["U:1", "A:one", "U:2", "U:more", "A:three"]
    await harness.store.delete_session("a")
    assert await harness.texts("b") == ["U:1", "A:one", "U:2", "U:more", "A:three"]
    assert {row.turn_id for row in (await harness.store.messages("b", limit=3))} == {None}


async def test_a_fork_across_branches_has_one_straight_transcript(harness: StoreHarness) -> None:
    await harness.say("a", "1", "one")
    await harness.say("a", "2", "two")
    await harness.store.rewind_session("a", 2)
    await harness.say("a", "2b", "two b")
    await harness.store.fork_session("a", "b")
    await harness.store.fork_session("a", "c", at=4)
    assert await harness.texts("b") == ["U:1", "A:one", "U:2b", "A:two b"]
    assert await harness.texts("c") == ["U:1", "A:one", "U:2", "A:two"]
    assert await tips(harness, "b") == [(4, 4, 4, True)]
    assert (await harness.store.history("b", 10_000)).ends == (await harness.store.history("a", 10_000)).ends


async def test_a_client_that_resends_its_history_is_known_in_the_fork(harness: StoreHarness) -> None:
    await harness.say("a", "1", "one")
    await harness.store.fork_session("a", "b")
    admission = await harness.admit("b", "2", earlier=(user("1"), said("one")))
    assert admission.history == "matched"


async def test_a_fork_leaves_out_what_a_running_turn_has_said(harness: StoreHarness) -> None:
    await harness.say("a", "1", "one")
    await harness.start("a", "2")
    await harness.store.fork_session("a", "b")
    assert await harness.texts("b") == ["U:1", "A:one"]


async def test_a_fork_does_not_write_over_a_session(harness: StoreHarness) -> None:
    await harness.say("a", "1", "one")
    await harness.say("b", "2", "two")
    with pytest.raises(SessionExists):
        await harness.store.fork_session("a", "b")
    with pytest.raises(SessionExists):
        await harness.store.fork_session("a", "a")
    assert await harness.texts("b") == ["U:2", "A:two"]


async def test_nothing_can_be_done_with_a_session_that_is_not_there(harness: StoreHarness) -> None:
    store = harness.store
    for asked in (
        store.session("x"),
        store.branches("x"),
        store.fork_session("x", "y"),
        store.rewind_session("x", 1),
        store.rename_session("x", title="t", metadata={}),
        store.choose_model("x", "fast"),
    ):
        with pytest.raises(SessionNotFound):
            await asked


# Import -------------------------------------------------------------------------------------------


async def test_an_imported_session_reads_and_goes_on_like_one_that_was_spoken(harness: StoreHarness) -> None:
    call = ToolCall("c", "f", "{}")
    messages = (
        user("6*7?"),
        Message("assistant", (Text("Let me see."), call), "tool_calls"),
        Message("tool", (ToolResult("c", "42"),)),
        said("It is 42."),
    )
    given = [
        ImportedMessage(message, 1_000.0 + number, "turn_of_old") for number, message in enumerate(messages)
    ]
    session = await harness.store.import_session("a", given, title="Sums", metadata={"from": "elsewhere"})
    assert (session.messages, session.title, session.metadata) == (4, "Sums", {"from": "elsewhere"})
    rows = await harness.store.messages("a", limit=10)
    assert tuple(row.message for row in rows) == messages
    assert [row.created_at for row in rows] == [1_000.0, 1_001.0, 1_002.0, 1_003.0]
    admission = await harness.admit("a", "and 6*8?", earlier=(user("6*7?"), said("Let me see.\n\nIt is 42.")))
    assert admission.history == "matched"
    with pytest.raises(SessionExists):
        await harness.store.import_session("a", given, title=None, metadata={})


async def test_labels_stay_with_the_session(harness: StoreHarness) -> None:
    await harness.say("a", "1", "one")
    assert (await harness.store.session("a")).title is None
    await harness.store.rename_session("a", title="Numbers", metadata={"k": "v"})
    await harness.say("a", "2", "two")
    await harness.reopen()
    session = (await harness.store.sessions(limit=1))[0]
    assert (session.title, session.metadata, session.messages) == ("Numbers", {"k": "v"}, 4)
    await harness.store.rename_session("a", title=None, metadata={})
    assert ((await harness.store.session("a")).title, (await harness.store.session("a")).metadata) == (
        None,
        {},
    )


async def test_a_branch_that_ends_within_a_step_of_tools_can_be_gone_back_to(harness: StoreHarness) -> None:
    claim = await harness.start("a", "1")
    call = ToolCall("c", "f", "{}")
    await harness.store.append(
        claim, (MessageAdded(Message("assistant", (call,), "tool_calls")), ToolStarted(call))
    )
    await harness.store.append(claim, (ToolFinished(Message("tool", (ToolResult("c", "42"),))),))
    await harness.store.append(claim, (MessageAdded(said("one")), TurnEnded("done")))
    await harness.store.rewind_session("a", 2)
    await harness.say("a", "2", "two")
    assert await harness.texts("a") == ["U:1", "A:", "U:2", "A:two"]
