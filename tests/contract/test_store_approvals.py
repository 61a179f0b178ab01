"""Approvals: they are there with the question, decided once, used up once, and never seen elsewhere."""

import pytest

from nanobot.core.approvals import Approval, ApprovalFilter, WantedCall
from nanobot.core.dispatch import Claim
from nanobot.core.errors import ApprovalChanged, ApprovalClosed, ApprovalNotFound, ApprovalRuleNotFound
from nanobot.core.event import Fact, MessageAdded, ToolFinished, ToolStarted, TurnEnded
from nanobot.core.message import AskedCall, Message, Text, ToolCall, ToolResult
from nanobot.core.sessions import SessionFilter
from tests.contract.store_harness import StoreHarness, done

SPAN_S = 100.0
TO_ANN = '{"to": "ann"}'


def asking(*ids: str, expires_at: float, asker: str | None = None) -> tuple[Fact, ...]:
    """Return the facts of a turn that ends with a question about a call for each of the ids."""
    calls = tuple(ToolCall(f"call_{id_}", "send", TO_ANN, is_withheld=True) for id_ in ids)
    asks = tuple(
        AskedCall(id_, f"call_{id_}", "send", f'{{"to": "{id_}"}}', expires_at, asker) for id_ in ids
    )
    return (
        MessageAdded(Message("assistant", calls, "tool_calls")),
        *(ToolFinished(Message("tool", (ToolResult(call.id, "not yet"),))) for call in calls),
        MessageAdded(Message("assistant", (Text("May I?"),), "stop", asks=asks)),
        TurnEnded("done"),
    )


async def ask(harness: StoreHarness, key: str, *ids: str, asker: str | None = None) -> None:
    claim = await harness.start(key)
    await harness.store.append(claim, asking(*ids, expires_at=harness.clock.now() + SPAN_S, asker=asker))


def using(id_: str, *, is_withheld: bool = False) -> tuple[Fact, ...]:
    """Return the facts by which a turn uses the approval up."""
    call = ToolCall(f"again_{id_}", "send", TO_ANN, is_withheld=is_withheld, approval=id_)
    added = MessageAdded(Message("assistant", (call,), "tool_calls"))
    if is_withheld:
        return (added, ToolFinished(Message("tool", (ToolResult(call.id, "not run", is_error=True),))))
    return (added, ToolStarted(call))


async def goes_on(harness: StoreHarness, key: str) -> Claim:
    return await harness.start(key, "well?")


async def state_of(harness: StoreHarness, id_: str) -> str:
    return (await harness.store.approval(id_)).state


async def test_an_approval_is_there_with_the_question(harness: StoreHarness) -> None:
    await ask(harness, "k", "a", asker="ann")
    found = await harness.store.approval("a")
    assert found == Approval(
        "a",
        "k",
        harness.last_id,
        "call_a",
        "send",
        '{"to": "a"}',
        "ann",
        harness.clock.now(),
        harness.clock.now() + SPAN_S,
    )
    await harness.reopen()
    assert await harness.store.approval("a") == found


async def test_it_is_decided_once(harness: StoreHarness) -> None:
    await ask(harness, "k", "a", "b")
    given = await harness.store.decide_approval("a", "once", by="ann")
    assert (given.state, given.answer, given.decided_by) == ("approved", "once", "ann")
    assert given.expires_at == harness.clock.now() + SPAN_S
    assert await harness.store.decide_approval("a", "once", by="bob") == given
    with pytest.raises(ApprovalClosed):
        await harness.store.decide_approval("a", "session", by="bob")
    assert (await harness.store.decide_approval("a", "deny", by="bob")).state == "denied"
    with pytest.raises(ApprovalClosed):
        await harness.store.decide_approval("a", "once", by="bob")
    assert await state_of(harness, "b") == "pending"
    with pytest.raises(ApprovalNotFound):
        await harness.store.decide_approval("c", "once", by="bob")


async def test_it_is_used_up_once(harness: StoreHarness) -> None:
    await ask(harness, "k", "a")
    await harness.store.decide_approval("a", "once", by="ann")
    claim = await goes_on(harness, "k")
    await harness.store.append(claim, using("a"))
    assert (await harness.store.approval("a")).is_used
    with pytest.raises(ApprovalChanged):
        await harness.store.append(claim, using("a"))
    assert not ApprovalChanged.retryable
    assert (await harness.texts("k"))[-1] == "A:"
    with pytest.raises(ApprovalClosed):
        await harness.store.decide_approval("a", "deny", by="ann")


@pytest.mark.parametrize("state", ["pending", "denied", "other"])
async def test_what_is_not_approved_cannot_be_run(harness: StoreHarness, state: str) -> None:
    await ask(harness, "other" if state == "other" else "k", "a")
    if state == "denied":
        await harness.store.decide_approval("a", "deny", by="ann")
    elif state == "other":
        await harness.store.decide_approval("a", "once", by="ann")
    claim = await goes_on(harness, "k")
    before = await harness.texts("k")
    with pytest.raises(ApprovalChanged):
        await harness.store.append(claim, using("a"))
    assert await harness.texts("k") == before
    assert not (await harness.store.approval("a")).is_used


async def test_only_what_is_refused_or_too_late_is_told_as_not_run(harness: StoreHarness) -> None:
    await ask(harness, "k", "a", "b", "c")
    await harness.store.decide_approval("a", "deny", by="ann")
    await harness.store.decide_approval("c", "once", by="ann")
    claim = await goes_on(harness, "k")
    await harness.store.append(claim, using("a", is_withheld=True))
    for id_ in ("b", "c"):
        with pytest.raises(ApprovalChanged):
            await harness.store.append(claim, using(id_, is_withheld=True))
    harness.clock.advance(SPAN_S)
    await harness.store.append(claim, using("b", is_withheld=True))
    assert [await state_of(harness, id_) for id_ in "abc"] == ["denied", "expired", "expired"]
    with pytest.raises(ApprovalClosed):
        await harness.store.decide_approval("c", "once", by="ann")


async def test_the_standing_of_a_call_is_that_of_its_session_tool_arguments_and_asker(
    harness: StoreHarness,
) -> None:
    await ask(harness, "k", "a")
    await ask(harness, "other", "b")
    store = harness.store

    async def approvals(key: str, *calls: WantedCall, asker: str | None = None) -> list[str | None]:
        found, _ = await store.standing_of(key, calls, asker)
        return [each.approval.id if each.approval is not None else None for each in found]

    same, longer = WantedCall("send", '{"to": "a"}'), WantedCall("send", '{"to": "ab"}')
    another, changed = WantedCall("push", '{"to": "a"}'), WantedCall("send", '{"to": "a"}', "digest")
    assert await approvals("k", same, longer, another, changed) == ["a", None, None, None]
    assert await approvals("k", same, asker="ann") == [None]
    assert await approvals("other", same) == [None]
    assert (await store.standing_of("k", [same]))[1] == 1
    await store.decide_approval("a", "once", by="ann")
    assert await approvals("k", same) == ["a"]
    assert (await store.standing_of("k", [same]))[1] == 0
    harness.clock.advance(SPAN_S)
    assert await approvals("k", same) == [None]


async def test_to_refuse_a_call_takes_back_no_rule_of_a_session_that_is_gone(harness: StoreHarness) -> None:
    await ask(harness, "wx:dm:ann", "a")
    await harness.store.decide_approval("a", "rule", by="ann", pattern="wx:dm:*")
    await harness.store.delete_session("wx:dm:ann")
    await ask(harness, "wx:dm:bob", "b")
    await harness.store.decide_approval("b", "deny", by="bob")
    assert len(await harness.store.approval_rules()) == 1


async def test_rules_are_for_their_session_or_their_pattern(harness: StoreHarness) -> None:
    store = harness.store
    await ask(harness, "wx:dm:ann", "a", "b")
    for key in ("wx:dm:bob", "wx:group:g"):
        await harness.say(key, "hello", "hi")
    await store.decide_approval("a", "session", by="ann")

    async def ruled() -> list[bool]:
        keys = ("wx:dm:ann", "wx:dm:bob", "wx:group:g")
        standing = [(await store.standing_of(key, [WantedCall("send", "{}")]))[0][0] for key in keys]
        return [each.rule is not None for each in standing]

    assert await ruled() == [True, False, False]
    await store.decide_approval("b", "rule", by="ann", pattern="wx:dm:*")
    assert await ruled() == [True, True, False]
    first, second = await store.approval_rules()
    assert (first.session_key, first.pattern) == ("wx:dm:ann", None)
    assert (second.session_key, second.pattern, second.created_by) == (None, "wx:dm:*", "ann")
    assert [rule.id for rule in await store.approval_rules(SessionFilter(("wx:group:*",)))] == [second.id]
    await store.revoke_approval_rule(second.id)
    # To refuse the call takes the rule back that came with the consent to it.
    await store.decide_approval("a", "deny", by="ann")
    assert await ruled() == [False, False, False]
    with pytest.raises(ApprovalRuleNotFound):
        await store.revoke_approval_rule(second.id)


async def test_approvals_are_listed_by_session_pattern_and_state_in_pages(harness: StoreHarness) -> None:
    store = harness.store
    await ask(harness, "wx:dm:ann", "a", "b")
    await ask(harness, "wx:dm:bob", "c", "d")
    await store.decide_approval("b", "deny", by="ann")
    await store.decide_approval("c", "once", by="ann")

    async def listed(matching: ApprovalFilter, **paging: str) -> str:
        found = await store.approvals(matching, limit=10, **paging)  # type: ignore[arg-type]
        return "".join(each.id for each in found)

    assert await listed(ApprovalFilter()) == "dcba"
    assert await listed(ApprovalFilter(), order="asc", after="b") == "cd"
    assert await listed(ApprovalFilter(session_key="wx:dm:ann")) == "ba"
    assert await listed(ApprovalFilter(SessionFilter(("wx:dm:b*",)))) == "dc"
    assert await listed(ApprovalFilter(state="pending")) == "da"
    assert await listed(ApprovalFilter(state="denied")) == "b"
    assert await listed(ApprovalFilter(state="approved")) == "c"
    harness.clock.advance(SPAN_S)
    assert await listed(ApprovalFilter(state="pending")) == ""
    assert await listed(ApprovalFilter(state="expired")) == "dca"
    with pytest.raises(ApprovalNotFound):
        await listed(ApprovalFilter(session_key="wx:dm:ann"), after="c")


async def test_they_go_with_their_session(harness: StoreHarness) -> None:
    await ask(harness, "k", "a")
    await harness.store.decide_approval("a", "session", by="ann")
    await harness.store.delete_session("k")
    with pytest.raises(ApprovalNotFound):
        await harness.store.approval("a")
    assert not await harness.store.approvals(ApprovalFilter(), limit=10)
    assert not await harness.store.approval_rules()
    await harness.say("k", "hello", "hi")
    ((standing,), waiting) = await harness.store.standing_of("k", [WantedCall("send", '{"to": "a"}')])
    assert (standing.rule, standing.approval, waiting) == (None, None, 0)


async def test_old_ones_are_deleted(harness: StoreHarness) -> None:
    await ask(harness, "k", "a")
    assert await harness.store.delete_old_approvals(harness.clock.now() + SPAN_S) == 0
    assert await harness.store.delete_old_approvals(harness.clock.now() + SPAN_S + 1) == 1
    assert not await harness.store.approvals(ApprovalFilter(), limit=10)


async def test_no_input_joins_before_the_question_has_its_results(harness: StoreHarness) -> None:
    claim = await harness.start("k")
    withheld = ToolCall("call_a", "send", TO_ANN, is_withheld=True)
    other = ToolCall("call_b", "look", "{}")
    both = Message("assistant", (withheld, other), "tool_calls")
    await harness.store.append(claim, (MessageAdded(both), ToolStarted(other)))
    await harness.admit("k", "meanwhile", when_busy="steer")
    seen = ToolFinished(Message("tool", (ToolResult("call_b", "seen"),)))
    assert await harness.store.append(claim, (seen,)) == ()
    _, *rest = asking("a", expires_at=harness.clock.now() + SPAN_S)
    (joined,) = await harness.store.append(claim, tuple(rest))
    assert joined.text == "meanwhile"
    assert await state_of(harness, "a") == "pending"
    await harness.store.append(claim, done("ok"))
