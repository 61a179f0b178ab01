"""The transcript: what clients send along of it, branches, and how much of it is read."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from nanobot.core.dispatch import Claim, LeftOut
from nanobot.core.event import MessageAdded, ToolFinished, ToolStarted
from nanobot.core.message import Message, ToolCall, ToolResult, estimate_tokens, user
from nanobot.core.turn import Turn
from tests.contract.store_harness import StoreHarness, StubEngine, cancelled, done, failed, said, shown


async def talk(harness: StoreHarness, key: str, *texts: str) -> None:
    """Say the odd ones of `texts`, answered by the even ones."""
    for question, answer in zip(texts[::2], texts[1::2], strict=True):
        await harness.say(key, question, answer)


async def texts(harness: StoreHarness, key: str, budget_tokens: int = 1_000_000) -> list[str]:
    """Return what a model would be shown."""
    return [shown(message) for message in (await harness.store.history(key, budget_tokens)).messages]


# What clients send along --------------------------------------------------------------------------


async def test_a_client_that_sends_nothing_along_goes_on_at_the_tip(harness: StoreHarness) -> None:
    await talk(harness, "a", "1", "one")
    assert (await harness.admit("a", "2")).history == "new"
    assert await harness.texts("a") == ["U:1", "A:one", "U:2"]


async def test_an_empty_session_imports_what_the_client_sends_along(harness: StoreHarness) -> None:
    call = ToolCall("c", "f", "{}")
    earlier = (
        user("1"),
        Message("assistant", (call,), "tool_calls"),
        Message("tool", (ToolResult("c", "42"),)),
        said("one"),
    )
    assert (await harness.admit("a", "2", earlier=earlier)).history == "imported"
    assert await harness.texts("a") == ["U:1", "A:", "T:42", "A:one", "U:2"]
    assert (await harness.store.history("a", 1_000_000)).messages[:4] == earlier


async def test_imported_messages_belong_to_no_turn_and_are_not_its_answer(harness: StoreHarness) -> None:
    claim = await harness.say("a", "2", "two", earlier=(user("1"), said("one")))
    rows = await harness.store.messages("a", limit=10)
    assert [row.turn_id for row in rows] == [None, None, claim.turn.id, claim.turn.id]
    assert [shown(message) for message in (await harness.ended(claim.turn.id)).messages] == ["A:two"]


async def test_a_client_that_resends_the_whole_conversation_adds_only_what_is_new(
    harness: StoreHarness,
) -> None:
    await talk(harness, "a", "1", "one", "2", "two")
    admission = await harness.admit("a", "3", earlier=(user("1"), said("one"), user("2"), said("two")))
    assert admission.history == "matched"
    assert await harness.texts("a") == ["U:1", "A:one", "U:2", "A:two", "U:3"]


async def test_a_client_may_cut_the_start_of_the_conversation_or_trim_its_text(harness: StoreHarness) -> None:
    await talk(harness, "a", "1", "one", "2", "  two\n")
    assert (await harness.admit("a", "3", earlier=(said("two"),))).history == "matched"


async def test_a_client_that_resends_an_imported_conversation_adds_only_what_is_new(
    harness: StoreHarness,
) -> None:
    await harness.say("a", "2", "two", earlier=(user("1"), said("one")))
    assert (
        await harness.admit("a", "3", earlier=(user("1"), said("one"), user("2"), said("two")))
    ).history == "matched"


async def test_an_answer_in_several_steps_is_known_by_its_joined_text(harness: StoreHarness) -> None:
    """Clients hold one message where the agent made several."""
    claim = await harness.start("a", "6*7?")
    call = ToolCall("c", "calculate", "{}")
    await harness.store.append(
        claim,
        (
            MessageAdded(Message("assistant", (*said("Let me see.").parts, call), "tool_calls")),
            ToolStarted(call),
        ),
    )
    await harness.store.append(claim, (ToolFinished(Message("tool", (ToolResult("c", "42"),))),))
    await harness.store.append(claim, done("It is 42."))
    admission = await harness.admit("a", "sure?", earlier=(user("6*7?"), said("Let me see.\n\nIt is 42.")))
    assert admission.history == "matched"


async def test_a_partial_answer_that_was_kept_is_known_when_it_is_sent_along(harness: StoreHarness) -> None:
    """Chat front ends hold what was said before the stop button, and resend it."""
    claim = await harness.start("a", "tell me a story")
    await harness.store.append(claim, (MessageAdded(said("Once upon", "incomplete")), cancelled()))
    assert (
        await harness.admit("a", "go on", earlier=(user("tell me a story"), said("Once upon")))
    ).history == "matched"


async def test_a_history_that_nobody_knows_takes_the_place_of_the_transcript(harness: StoreHarness) -> None:
    await talk(harness, "a", "1", "one")
    assert (await harness.admit("a", "2", earlier=(user("x"), said("something else")))).history == "replaced"
    assert await harness.texts("a") == ["U:x", "A:something else", "U:2"]


async def test_a_reply_of_another_session_matches_nothing_here(harness: StoreHarness) -> None:
    await talk(harness, "a", "1", "a reply")
    await talk(harness, "b", "1", "b reply")
    assert (await harness.admit("b", "2", earlier=(user("1"), said("a reply")))).history == "replaced"


# Branches -----------------------------------------------------------------------------------------


async def test_an_edited_message_rewinds_to_before_it(harness: StoreHarness) -> None:
    await talk(harness, "a", "1", "one", "2", "two", "3", "three")
    claim = await harness.start("a", "2, edited", earlier=(user("1"), said("one")))
    assert await texts(harness, "a") == ["U:1", "A:one", "U:2, edited"]
    await harness.store.append(claim, done("edited two"))
    await talk(harness, "a", "4", "four")
    assert await harness.texts("a") == ["U:1", "A:one", "U:2, edited", "A:edited two", "U:4", "A:four"]


async def test_a_regenerated_answer_takes_the_place_of_the_old_one(harness: StoreHarness) -> None:
    await talk(harness, "a", "1", "one", "2", "two")
    admission = await harness.admit("a", "2", earlier=(user("1"), said("one")))
    assert admission.history == "rewound"
    await harness.store.append(await harness.engine.claim(), done("two, better"))
    assert await harness.texts("a") == ["U:1", "A:one", "U:2", "A:two, better"]


async def test_a_client_can_go_back_to_a_branch_that_it_left(harness: StoreHarness) -> None:
    await talk(harness, "a", "1", "one", "2", "two")
    await harness.say("a", "2, edited", "edited two", earlier=(user("1"), said("one")))
    earlier = (user("1"), said("one"), user("2"), said("two"))
    assert (await harness.admit("a", "3", earlier=earlier)).history == "rewound"
    assert await harness.texts("a") == ["U:1", "A:one", "U:2", "A:two", "U:3"]


async def test_branches_of_branches_keep_their_own_past(harness: StoreHarness) -> None:
    await talk(harness, "a", "1", "one", "2", "two", "3", "three")
    await harness.say("a", "2b", "two b", earlier=(user("1"), said("one")))
    await talk(harness, "a", "3b", "three b")
    await harness.say("a", "3c", "three c", earlier=(user("1"), said("one"), user("2b"), said("two b")))
    await harness.say(
        "a", "4", "four", earlier=(user("1"), said("one"), user("2"), said("two"), user("3"), said("three"))
    )
    assert await harness.texts("a") == ["U:1", "A:one", "U:2", "A:two", "U:3", "A:three", "U:4", "A:four"]
    await harness.say("a", "4c", "four c", earlier=(user("3c"), said("three c")))
    assert await harness.texts("a") == [
        "U:1",
        "A:one",
        "U:2b",
        "A:two b",
        "U:3c",
        "A:three c",
        "U:4c",
        "A:four c",
    ]


async def test_of_replies_that_are_the_same_the_one_to_the_same_question_is_meant(
    harness: StoreHarness,
) -> None:
    await talk(harness, "a", "1", "ok", "2", "ok", "3", "three")
    await harness.start("a", "2, edited", earlier=(user("1"), said("ok")))
    assert await texts(harness, "a") == ["U:1", "A:ok", "U:2, edited"]


async def test_a_reply_that_is_also_the_newest_is_told_apart_by_its_question(harness: StoreHarness) -> None:
    """An agent that often says "ok" can still have an earlier message edited."""
    await talk(harness, "a", "1", "ok", "2", "ok", "3", "ok")
    assert (await harness.admit("a", "2, edited", earlier=(user("1"), said("ok")))).history == "rewound"
    assert await texts(harness, "a") == ["U:1", "A:ok", "U:2, edited"]


async def test_the_newest_of_replies_that_are_the_same_is_the_tip(harness: StoreHarness) -> None:
    await talk(harness, "a", "1", "ok", "2", "ok")
    assert (
        await harness.admit("a", "3", earlier=(user("1"), said("ok"), user("2"), said("ok")))
    ).history == "matched"


async def test_a_message_sent_while_a_turn_runs_does_not_rewind_for_lack_of_its_reply(
    harness: StoreHarness,
) -> None:
    """The client cannot hold a reply that has not been given."""
    await talk(harness, "a", "1", "one")
    running = await harness.start("a", "2", earlier=(user("1"), said("one")))
    assert (await harness.admit("a", "3", earlier=(user("1"), said("one")))).history == "matched"
    await harness.store.append(running, done("two"))
    await harness.engine.claim()
    assert await harness.texts("a") == ["U:1", "A:one", "U:2", "A:two", "U:3"]


async def test_a_whole_conversation_that_is_sent_while_a_turn_runs_has_nothing_of_that_turn_in_it(
    harness: StoreHarness,
) -> None:
    """A front end that asks for two answers at once, or for another one while the first is written."""
    await talk(harness, "a", "1", "one")
    sent = (user("1"), said("one"))
    running = await harness.start("a", "2", earlier=sent)
    other = await harness.admit("a", "2", earlier=sent, body="other", is_whole=True)
    anew = await harness.admit("a", "1, edited", is_whole=True)
    assert other.history == anew.history == "rewound"
    await harness.store.append(running, done("two"))
    second = await harness.engine.claim()
    assert await harness.texts("a") == ["U:1", "A:one", "U:2"]
    await harness.store.append(second, done("two b"))
    await harness.engine.claim()
    assert await harness.texts("a") == ["U:1, edited"]
    assert len(await harness.store.branches("a")) == 3


async def test_a_list_stays_in_sight_when_turns_that_waited_before_it_have_left_its_branch(
    harness: StoreHarness,
) -> None:
    await talk(harness, "a", "1", "one", "2", "two")
    running = await harness.start("a", "3", earlier=(user("1"), said("one"), user("2"), said("two")))
    assert (await harness.admit("a", "1b", is_whole=True)).history == "rewound"
    await harness.admit("a", "3b", earlier=(user("1"), said("one"), user("2"), said("two")))
    await harness.store.append(running, done("three"))
    between = await harness.engine.claim()
    assert await harness.texts("a") == ["U:1b"]
    await harness.store.append(between, done("one b"))
    await harness.engine.claim()
    assert await harness.texts("a") == ["U:1", "A:one", "U:2", "A:two", "U:3b"]


async def test_lists_of_turns_that_wait_for_the_engine_are_what_their_models_see(
    harness: StoreHarness,
) -> None:
    await talk(harness, "a", "1", "one")
    await harness.reopen(max_running=1)
    elsewhere = await harness.start("b")
    sent = (user("1"), said("one"))
    assert (await harness.admit("a", "2", earlier=sent, is_whole=True)).history == "matched"
    assert (await harness.admit("a", "2b", earlier=sent, is_whole=True)).history == "rewound"
    assert (await harness.admit("a", "1b", is_whole=True)).history == "rewound"
    assert (await harness.admit("a", "2c", earlier=sent)).history == "matched"
    seen: list[list[str]] = []
    running = elsewhere
    for _ in range(4):
        await harness.store.append(running, done("answer"))
        running = await harness.engine.claim()
        seen.append(await harness.texts("a"))
    assert seen == [
        ["U:1", "A:one", "U:2"],
        ["U:1", "A:one", "U:2b"],
        ["U:1b"],
        ["U:1", "A:one", "U:2c"],
    ]


async def test_pages_of_a_branched_transcript_join_up(harness: StoreHarness) -> None:
    await talk(harness, "a", "1", "one", "2", "two", "3", "three")
    await harness.say("a", "2b", "two b", earlier=(user("1"), said("one")))
    await talk(harness, "a", "3b", "three b", "4b", "four b")
    whole = await harness.store.messages("a", limit=100)
    paged: list[str] = []
    after = 0
    while page := await harness.store.messages("a", limit=3, after_seq=after):
        assert len(page) <= 3
        paged.extend(shown(row.message) for row in page)
        after = page[-1].seq
    assert paged == [shown(row.message) for row in whole]
    assert [before.seq < later.seq for before, later in pairwise(whole)] == [True] * (len(whole) - 1)
    (session,) = await harness.store.sessions(limit=10)
    assert session.messages == len(whole)


async def test_rows_sum_up_the_tokens_of_their_own_branch(harness: StoreHarness) -> None:
    await talk(harness, "a", "1" * 400, "one", "2" * 400, "two")
    await harness.say("a", "x", "y", earlier=(user("1" * 400), said("one")))
    total = 0
    for row in await harness.store.messages("a", limit=100):
        total += estimate_tokens(row.message)
        assert row.total_tokens == total


# How much is read ---------------------------------------------------------------------------------


async def test_history_is_the_newest_that_cost_the_budget_and_tells_what_came_before(
    harness: StoreHarness,
) -> None:
    await talk(harness, "a", *(f"{number}" * 400 for number in range(8)))
    whole = (await harness.store.history("a", 1_000_000)).messages
    history = await harness.store.history("a", 250)
    assert history.messages == whole[-len(history.messages) :]
    assert 250 <= sum(estimate_tokens(message) for message in history.messages) < 250 + 104
    assert history.skipped_tokens == sum(
        estimate_tokens(message) for message in whole[: -len(history.messages)]
    )


async def test_a_claim_brings_what_its_turn_does_not_leave_out(harness: StoreHarness) -> None:
    await talk(harness, "a", *(f"{number}" * 400 for number in range(8)))
    whole = (await harness.store.history("a", 1_000_000)).messages
    await harness.engine.stop()
    asked: list[tuple[str, int]] = []

    def left_out_by(turn: Turn) -> LeftOut | None:
        def left_out(size_tokens: int) -> int:
            asked.append((turn.id, size_tokens))
            return size_tokens - 250

        return left_out if turn.input[0].text == "new" else None

    harness.engine = StubEngine(harness.store, 64, 400, left_out_by)
    await harness.engine.settled()
    claim = await harness.start("a", "new")
    size = sum(estimate_tokens(message) for message in (*whole, user("new")))
    assert asked == [(claim.turn.id, size)]
    assert claim.history is not None
    shown = claim.history.messages
    assert shown == (*whole[1 - len(shown) :], user("new"))
    assert claim.history.skipped_tokens <= size - 250 < claim.history.ends[0]
    await harness.store.append(claim, done("ok"))
    other = await harness.start("a", "other")
    assert other.history is not None
    assert len(other.history.messages) > len(shown) + 1
    await harness.store.append(other, done("ok"))


async def test_history_of_a_session_that_nobody_knows_is_empty(harness: StoreHarness) -> None:
    history = await harness.store.history("nobody", 1000)
    assert (history.messages, history.skipped_tokens) == ((), 0)


async def test_history_follows_the_branch_that_lives(harness: StoreHarness) -> None:
    await talk(harness, "a", "1", "one", "2", "two", "3", "three")
    await harness.say("a", "2b", "two b", earlier=(user("1"), said("one")))
    assert await texts(harness, "a") == ["U:1", "A:one", "U:2b", "A:two b"]
    assert await texts(harness, "a", 13) == ["A:one", "U:2b", "A:two b"]


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["say", "edit", "fail", "untraced"]), st.integers(0, 9)),
    min_size=1,
    max_size=14,
)


@given(actions=ACTIONS, budget_tokens=st.integers(1, 60))
async def test_the_transcript_is_what_a_list_would_be(
    harness: StoreHarness, actions: list[tuple[str, int]], budget_tokens: int
) -> None:
    """Whatever is said, edited, failed or left untraced, in any order; and the window is a suffix of it that
    costs enough.
    """
    harness.clock.advance(1)
    key = f"session {harness.clock.now()}"
    model: list[str] = []
    for number, (action, at) in enumerate(actions):
        earlier: tuple[Message, ...] = ()
        if action == "edit" and model:
            model = model[: 2 * (at % (len(model) // 2) + 1)]
            earlier = tuple(user(text[2:]) if text.startswith("U:") else said(text[2:]) for text in model)
        claim: Claim = await harness.start(key, f"q{number}", trace=action != "untraced", earlier=earlier)
        if action == "fail":
            await harness.store.append(claim, (failed(retryable=False),))
            continue
        await harness.store.append(claim, done(f"a{number}"))
        if action != "untraced":
            model += [f"U:q{number}", f"A:a{number}"]
    assert await harness.texts(key) == model
    history = await harness.store.history(key, budget_tokens)
    window = [shown(message) for message in history.messages]
    assert window == model[len(model) - len(window) :]
    costs = [estimate_tokens(message) for message in history.messages]
    assert history.skipped_tokens == 0 or sum(costs) >= budget_tokens > sum(costs[1:])
