"""What summaries cost is counted, whether they are kept or not, and whoever they were made for; and what
stands beside a transcript is found again.
"""

import pytest

from nanobot.core.compaction import Compacted, Payer, StepSummary
from nanobot.core.event import ToolFinished, TurnEnded
from nanobot.core.message import Message, ToolResult, Usage
from nanobot.core.plan import NO_STATE, AgentState, PlanStep, TaskPlan
from nanobot.stores.sql.usage import NO_SESSION
from tests.contract.store_harness import StoreHarness

USED = Usage(prompt_tokens=300, completion_tokens=20)
FIRST, LAST = "0001-01-01", "9999-12-31"


async def test_a_summary_that_is_not_kept_is_paid_by_its_session_and_key(harness: StoreHarness) -> None:
    await harness.admit("a", "hello")
    await harness.store.add_spent(USED, Payer("a", "key_ann"))
    rows = await harness.store.session_usage("a", first_day=FIRST, last_day=LAST, group=())
    assert sum(row.usage.prompt_tokens for row in rows) == 300
    await of_key(harness, "key_ann", 300)


async def test_one_without_a_session_is_paid_by_its_key_alone(harness: StoreHarness) -> None:
    await harness.store.add_spent(USED, Payer("nobody", "key_ann"))
    await harness.store.add_spent(USED, Payer("", "key_ann"))
    await of_key(harness, "key_ann", 600)
    await of_key(harness, "key_bob", 0)


async def of_key(harness: StoreHarness, key_id: str, tokens: int) -> None:
    rows = await harness.store.usage(first_day=FIRST, last_day=LAST, group=(), key_id=key_id, only_key=True)
    assert sum(row.usage.prompt_tokens for row in rows) == tokens


async def test_a_summary_of_a_deleted_session_is_none_of_the_next_one(harness: StoreHarness) -> None:
    for text in ("hello", "the parrot is in the cage"):
        await harness.say("a", text, "a" * 2_000)
    of = await harness.store.unsummarised("a", keep_tokens=400, least_tokens=1, most_tokens=100_000)
    assert of is not None
    await harness.store.delete_session("a")
    for text in ("good morning", "the dodo is gone"):
        await harness.say("b", text, "b" * 2_000)
    assert not await harness.store.add_summary(of, Compacted("The parrot."), Payer("a", None, "m"))
    again = await harness.store.unsummarised("b", keep_tokens=400, least_tokens=1, most_tokens=100_000)
    assert again is not None
    assert again.before == ""


@pytest.mark.parametrize("is_there_again", [False, True])
async def test_a_summary_that_comes_when_its_session_is_deleted_is_paid_by_no_session_of_another_key(
    harness: StoreHarness, is_there_again: bool
) -> None:
    for text in ("hello", "the parrot is in the cage"):
        await harness.say("a", text, "a" * 2_000)
    of = await harness.store.unsummarised("a", keep_tokens=400, least_tokens=1, most_tokens=100_000)
    assert of is not None
    await harness.store.delete_session("a")
    await harness.say("b", "good morning", "b")
    if is_there_again:
        await harness.say("a", "hello again", "a")
    await harness.store.add_summary(of, Compacted("The parrot.", usage=USED), Payer("a", "key_ann"))
    await of_key(harness, "key_ann", 300)
    paid = await vars(harness.store)["database"].read(
        lambda db: db.execute(
            "SELECT (SELECT key FROM session WHERE id = session), session FROM usage WHERE key_id = 'key_ann'"
        ).fetchall()
    )
    assert [key for key, _ in paid] == (["a"] if is_there_again else [None])
    assert is_there_again or paid == [(None, NO_SESSION)]


# Of steps -----------------------------------------------------------------------------------------


async def test_the_newest_summary_of_a_running_turn_is_found_again_after_a_restart(
    harness: StoreHarness,
) -> None:
    await harness.admit("a", "hello")
    turn_id = (await harness.engine.claim()).turn.id
    store = harness.store
    assert await store.step_summary(turn_id) is None
    assert await store.add_step_summary(turn_id, 4, Compacted("four", usage=USED), Payer("a", "key_ann"))
    assert await store.add_step_summary(turn_id, 9, Compacted("nine"), Payer("a", "key_ann"))
    await harness.reopen()
    assert await harness.store.step_summary(turn_id) == StepSummary("nine", 9)
    await of_key(harness, "key_ann", 300)


async def test_a_summary_of_a_turn_that_is_over_is_paid_and_not_kept(harness: StoreHarness) -> None:
    await harness.admit("a", "hello")
    claim = await harness.engine.claim()
    await harness.store.append(claim, (TurnEnded("done"),))
    payer = Payer("a", "key_ann")
    assert not await harness.store.add_step_summary(claim.turn.id, 4, Compacted("x", usage=USED), payer)
    assert await harness.store.step_summary(claim.turn.id) is None
    assert not await harness.store.add_step_summary("turn_of_nobody", 4, Compacted("x", usage=USED), payer)
    await of_key(harness, "key_ann", 600)


# What an agent keeps ------------------------------------------------------------------------------


def kept(call_id: str, plan: TaskPlan | None = None, found: tuple[str, ...] = ()) -> ToolFinished:
    return ToolFinished(Message("tool", (ToolResult(call_id, "kept", plan=plan, found=found),)))


PLAN = TaskPlan("Tidy up", (PlanStep("attic", "doing"),))


async def test_what_an_agent_keeps_is_that_of_the_last_result_that_changed_it(harness: StoreHarness) -> None:
    await harness.admit("a", "hello")
    claim = await harness.engine.claim()
    await harness.store.append(claim, (kept("1", PLAN), kept("2", found=("look",))))
    await harness.store.append(claim, (kept("3", found=("look", "find")),))
    await harness.reopen()
    history = await harness.store.history("a", 1_000)
    assert history.state == AgentState(PLAN, ("look", "find"))
    await harness.admit("b", "hello")
    assert (await harness.store.history("b", 1_000)).state == NO_STATE


async def test_a_turn_that_leaves_no_trace_changes_nothing_of_it(harness: StoreHarness) -> None:
    await harness.admit("a", "hello")
    await harness.store.append(await harness.engine.claim(), (kept("1", PLAN), TurnEnded("done")))
    await harness.admit("a", "a title, please", trace=False)
    claim = await harness.engine.claim()
    assert claim.history is None or claim.history.state.plan == PLAN
    await harness.store.append(claim, (kept("2", TaskPlan()),))
    await harness.store.append(claim, (TurnEnded("done"),))
    assert (await harness.store.history("a", 1_000)).state.plan == PLAN
