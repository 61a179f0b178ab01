"""What comes back of other sessions: in private of the person's other chats, in a group of its members'."""

import itertools
import random

import pytest

from nanobot.core.model import ModelRequest
from nanobot.testing import Say, ScriptedModel, call
from tests.harness import Harness, OpenHarness

DM, TELEGRAM, OTHER_DM = "wx:dm:alice", "tg:dm:42", "wx:dm:bob"
ALICE, BOB, EVE = "wx:group:g1:user:alice", "wx:group:g1:user:bob", "wx:group:g1:user:eve"
OTHER_GROUP = "wx:group:g2:user:alice"
TOLD = "The garage of the team has the door code {}."
ASKED = "What was the door code of the garage?"


async def tell(harness: Harness, key: str, text: str = "", name: str | None = None) -> None:
    message = {"role": "user", "content": text or TOLD.format(key), **({"name": name} if name else {})}
    assert (await harness.door.chat(key, [message])).status == 200


async def recalled(harness: Harness, model: ScriptedModel, key: str, name: str | None = None) -> str:
    """Ask in the session, and return the notes at the end of the prompt."""
    count = len(model.requests)
    await tell(harness, key, ASKED, name)
    (request,) = [each for each in model.requests[count:] if each.messages[-1].text.endswith(ASKED)]
    return request.notes


async def refresh(harness: Harness) -> None:
    """Take over the links, as the server does every second."""
    await harness.app.accounts.people.refresh()


async def test_a_group_is_told_what_its_members_said_there(open_harness: OpenHarness) -> None:
    model = ScriptedModel("I keep it in mind")
    harness = await open_harness(model)
    for key in (BOB, DM, OTHER_DM, OTHER_GROUP):
        await tell(harness, key)
    notes = await recalled(harness, model, ALICE)
    assert f"wx:bob said: {TOLD.format(BOB)}" in notes
    assert not any(f"code {key}" in notes for key in (DM, OTHER_DM, OTHER_GROUP))
    assert "no instructions" in notes


async def test_an_agent_without_memory_is_told_of_no_other_session_and_no_other_is_told_of_its(
    open_harness: OpenHarness,
) -> None:
    model = ScriptedModel("I keep it in mind")
    harness = await open_harness(model, agents=[{"pattern": BOB, "memory": False}])
    for key in (BOB, EVE):
        await tell(harness, key)
    notes = await recalled(harness, model, ALICE)
    assert f"code {EVE}" in notes and f"code {BOB}" not in notes
    assert "code" not in await recalled(harness, model, BOB)


async def test_what_is_said_in_a_group_does_not_come_back_in_private(open_harness: OpenHarness) -> None:
    model = ScriptedModel("ok")
    harness = await open_harness(model)
    for key in (BOB, ALICE, OTHER_GROUP, OTHER_DM):
        await tell(harness, key)
    assert "code" not in await recalled(harness, model, DM)


async def test_linked_accounts_share_what_is_said_in_private_until_they_are_unlinked(
    open_harness: OpenHarness,
) -> None:
    model = ScriptedModel("ok")
    harness = await open_harness(model)
    await tell(harness, DM)
    await tell(harness, OTHER_DM)
    assert "code" not in await recalled(harness, model, TELEGRAM)
    await harness.app.store.link_people("wx:alice", "tg:42")
    await refresh(harness)
    notes = await recalled(harness, model, TELEGRAM)
    assert f"I said in another chat: {TOLD.format(DM)}" in notes and OTHER_DM not in notes
    assert "code" not in await recalled(harness, model, "tg:group:g:user:42"), "private, in a group"
    await harness.app.store.unlink_name("tg:42")
    await refresh(harness)
    assert "code" not in await recalled(harness, model, TELEGRAM)


async def test_links_of_before_the_start_hold(open_harness: OpenHarness) -> None:
    harness = await open_harness()
    await tell(harness, DM)
    await harness.app.store.link_people("wx:alice", "tg:42")
    await harness.close()
    model = ScriptedModel("ok")
    again = await open_harness(model, data=harness.data)
    assert DM in await recalled(again, model, TELEGRAM)


async def test_a_person_with_several_private_chats_in_a_channel_has_them_all(
    open_harness: OpenHarness,
) -> None:
    model = ScriptedModel("ok")
    harness = await open_harness(model, scopes=[{"pattern": "{channel}:dm:{user}:{rest}"}])
    await tell(harness, "wx:dm:alice:thread:1")
    await tell(harness, "wx:dm:alicia:thread:1")
    notes = await recalled(harness, model, "wx:dm:alice:thread:2")
    assert "code wx:dm:alice:thread:1." in notes and "alicia" not in notes


async def test_it_can_be_switched_off(open_harness: OpenHarness) -> None:
    model = ScriptedModel("ok")
    harness = await open_harness(model, recall={"people": False})
    await tell(harness, BOB)
    assert "code" not in await recalled(harness, model, ALICE)
    assert "search_history" not in [tool.name for tool in model.requests[-1].tools]


async def test_of_a_deleted_session_nothing_comes_back(open_harness: OpenHarness) -> None:
    model = ScriptedModel("ok")
    harness = await open_harness(model)
    await tell(harness, BOB)
    assert BOB in await recalled(harness, model, ALICE)
    await harness.app.store.erase_person("wx:bob")
    assert BOB not in await recalled(harness, model, ALICE)


async def test_turns_of_who_has_one_private_chat_look_for_no_other(
    open_harness: OpenHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ScriptedModel("ok")
    harness = await open_harness(model)
    asked: list[str] = []
    store = harness.app.store
    look, search = store.other_sessions, store.search_messages

    async def looked(session_key: str, *, limit: int) -> tuple[str, ...]:
        asked.append(session_key)
        return await look(session_key, limit=limit)

    async def searched(*args: object, **options: object) -> object:
        asked.append("search")
        return await search(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "other_sessions", looked)
    monkeypatch.setattr(store, "search_messages", searched)
    for key in (DM, "plain", "wx:dm:a:b"):
        await tell(harness, key, ASKED)
    assert asked == []
    await tell(harness, ALICE, ASKED)
    assert asked == [ALICE], "alone in the group: there is nothing to search"
    await tell(harness, BOB, ASKED)
    assert asked == [ALICE, BOB, "search"]


async def test_equal_names_are_told_apart(open_harness: OpenHarness) -> None:
    model = ScriptedModel("ok")
    harness = await open_harness(model)
    await tell(harness, BOB, "The garage has the door code 1234, believe me.", name="Alex")
    await tell(harness, EVE, "The garage has the door code 9999, for sure.", name="Alex")
    notes = await recalled(harness, model, ALICE, name="Ann")
    assert "Alex (wx:bob) said: The garage has the door code 1234" in notes
    assert "Alex (wx:eve) said: The garage has the door code 9999" in notes


class Searching:
    """A script that searches earlier messages where it is asked for the garage."""

    def __call__(self, request: ModelRequest) -> str | Say:
        if request.messages[-1].text.endswith(ASKED):
            return call("search_history", '{"query": "garage door code"}')
        return "ok"


async def test_in_a_group_the_model_may_search_what_its_members_said(open_harness: OpenHarness) -> None:
    model = ScriptedModel(Searching())
    harness = await open_harness(model, recall={"tokens": 0})
    for key in (BOB, DM, OTHER_DM, OTHER_GROUP):
        await tell(harness, key)
    await tell(harness, ALICE, ASKED)
    (result,) = model.requests[-1].messages[-1].tool_results
    assert TOLD.format(BOB) in result.content and '"wx:bob said"' in result.content
    assert not any(f"code {key}" in result.content for key in (DM, OTHER_DM, OTHER_GROUP))


async def test_nobody_is_shown_what_their_layers_do_not_have(open_harness: OpenHarness) -> None:
    """Every session tells and asks the same, with a secret of its own: who sees which is worked out here
    again.
    """
    rng = random.Random(5)
    people, groups, channels = range(6), range(3), ("wx", "tg")
    private = {f"{channel}:dm:{person}": (channel, person) for channel in channels for person in people}
    shared = {
        f"{channel}:group:{group}:user:{person}": (channel, group)
        for channel in channels
        for group in groups
        for person in rng.sample(people, 3)
    }
    linked = {("wx", 0), ("tg", 3)}
    model = ScriptedModel(lambda request: "ok")
    harness = await open_harness(model)
    await harness.app.store.link_people("wx:0", "tg:3")
    await refresh(harness)
    keys = [*private, *shared]
    secret = {key: f"canary{number:03d}x" for number, key in enumerate(keys)}
    for key in keys:
        await tell(harness, key, f"the door code of the garage is {secret[key]}, said {secret[key]}")
    hits = 0
    for key in keys:
        count = len(model.requests)
        await recalled(harness, model, key)
        shown = repr(model.requests[count:])
        seen = {other for other in keys if secret[other] in shown}
        if key in private:
            may = {other for other in private if {private[key], private[other]} <= linked} | {key}
        else:
            may = {other for other in shared if shared[other] == shared[key]}
        assert seen <= may, key
        hits += len(seen - {key})
    assert hits > 15, "what may be seen is seen"
    assert len(list(itertools.chain(private, shared))) == 30
