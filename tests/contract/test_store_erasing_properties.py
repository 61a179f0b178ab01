"""Whatever was done before, in any order: of who is erased nothing is left, of others all is as it was."""

import contextlib
import tempfile
from collections.abc import Callable, Coroutine
from itertools import count
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from nanobot.core.compaction import Compacted, Payer
from nanobot.core.dispatch import Claim
from nanobot.core.errors import InvalidRequest, NanobotError
from nanobot.core.event import MessageAdded, ToolFinished, ToolStarted
from nanobot.core.memory import FactChange, NewFact
from nanobot.core.message import Message, Text, ToolCall, ToolResult, user
from nanobot.core.people import LinkCode
from nanobot.core.plan import PlanStep, TaskPlan
from nanobot.core.scopes import DEFAULT_RULES
from nanobot.core.sessions import ImportedMessage
from nanobot.core.store import Limits
from nanobot.core.uploads import Upload
from tests.contract.store_harness import StoreHarness, done, open_sqlite, said
from tests.contract.test_store_search import settle

KEYS = (
    "wx:dm:alice", "wx:dm:bob", "wx:group:g:user:alice", "wx:group:g:user:bob",
    "tg:dm:42", "tg:group:h:user:42", "tg:group:h:user:43", "plain",
)  # fmt: skip
PEOPLE = tuple(dict.fromkeys(DEFAULT_RULES.of(key).person for key in KEYS))
_numbers = count(1)


class Doings:
    """What may be done in sessions. `told`: the words that were said, each with the names of whom it is: of
    all that it may be taken for the word of.
    """

    def __init__(self, harness: StoreHarness) -> None:
        self.harness = harness
        self.told: dict[str, set[str]] = {}
        self.forked = 0
        self.busy: set[str] = set()

    def canary(self, key: str) -> str:
        word = f"canary{next(_numbers):06d}q"
        self.told[word] = {DEFAULT_RULES.of(key).person}
        return word

    async def start(self, key: str, text: str) -> Claim:
        if key in self.busy:
            raise InvalidRequest("a turn of the session runs")
        return await self.harness.start(key, text)

    async def say(self, key: str, other: str, *, flag: bool) -> None:
        claim = await self.start(key, f"I say {self.canary(key)}")
        await self.harness.store.append(claim, done(f"answer {self.canary(key)}"))

    async def edit(self, key: str, other: str, *, flag: bool) -> None:
        if key in self.busy:
            return
        earlier = (user(f"earlier {self.canary(key)}"), said("yes"))
        await self.harness.say(key, f"edited {self.canary(key)}", "ok", earlier=earlier)

    async def call_a_tool(self, key: str, other: str, *, flag: bool) -> None:
        harness = self.harness
        claim = await self.start(key, f"look up {self.canary(key)}")
        call = ToolCall(f"call_{next(_numbers)}", "search", f'{{"query": "{self.canary(key)}"}}')
        asking = Message("assistant", (Text(f"let me see {self.canary(key)}"), call), "tool_calls")
        await harness.store.append(claim, (MessageAdded(asking), ToolStarted(call)))
        plan = TaskPlan(f"goal {self.canary(key)}", (PlanStep(f"step {self.canary(key)}"),))
        result = ToolResult(call.id, f"found {self.canary(key)}", plan=plan)
        await harness.store.append(claim, (ToolFinished(Message("tool", (result,))),))
        summary = Compacted(f"steps {self.canary(key)}")
        await harness.store.add_step_summary(claim.turn.id, 1, summary, Payer(key))
        if flag:
            await harness.store.append(claim, done("done"))
        else:
            self.busy.add(key)

    async def wait(self, key: str, other: str, *, flag: bool) -> None:
        if key in self.busy:
            await self.harness.admit(key, f"still to do {self.canary(key)}")

    async def note(self, key: str, other: str, *, flag: bool) -> None:
        await self._note(key, about=self.canary(key), is_public=flag, is_pinned=flag)

    async def note_in_turn(self, key: str, other: str, *, flag: bool) -> None:
        claim = await self.start(key, f"note {self.canary(key)}")
        await self.harness.store.append(claim, done("ok"))
        layer = "session" if flag else None
        await self._note(key, about=self.canary(key), turn_id=claim.turn.id, layer=layer)

    async def promote(self, key: str, other: str, *, flag: bool) -> None:
        group = DEFAULT_RULES.of(other).group
        await self._note(key, about=self.canary(key), told_to=group)

    async def _note(self, key: str, *, about: str, **more: Any) -> None:
        self.harness.clock.advance(1)
        id_ = f"mem_{next(_numbers):026d}"
        new = NewFact(id=id_, text=f"fact {about}", origin="conversation", subject=about, **more)
        await self.harness.store.remember(key, new)

    async def correct(self, key: str, other: str, *, flag: bool) -> None:
        for fact in (await self.harness.store.facts(key, limit=100)).facts:
            told_by = next((names for word, names in self.told.items() if word in fact.text), set())
            if told_by == {DEFAULT_RULES.of(key).person}:
                change = FactChange(text=f"{fact.text} and {self.canary(key)}")
                await self.harness.store.change_fact(key, fact.id, change)
                return

    async def upload(self, key: str, other: str, *, flag: bool) -> None:
        id_ = f"file-{next(_numbers):026d}"
        content = f"content {self.canary(key)}".encode()
        name = f"{self.canary(key)}.txt"
        made = Upload(id_, key, name, "user_data", len(content), self.harness.clock.now())
        await self.harness.store.add_upload(made, content, 100_000)

    async def summarise(self, key: str, other: str, *, flag: bool) -> None:
        of = await self.harness.store.unsummarised(key, keep_tokens=1, least_tokens=1, most_tokens=100_000)
        if of is not None:
            await self.harness.store.add_summary(of, Compacted(f"sum {self.canary(key)}"), Payer(key))

    async def title(self, key: str, other: str, *, flag: bool) -> None:
        await self.harness.store.rename_session(
            key, title=self.canary(key), metadata={self.canary(key): self.canary(key)}
        )
        await self.harness.store.instruct_session(key, f"be {self.canary(key)}")

    async def import_(self, key: str, other: str, *, flag: bool) -> None:
        given = (
            ImportedMessage(user(f"of old {self.canary(key)}"), 1.0, "turn_of_old"),
            ImportedMessage(said(f"yes {self.canary(key)}"), 2.0, "turn_of_old"),
        )
        title = self.canary(key)
        await self.harness.store.import_session(key, given, title=title, metadata={"from": self.canary(key)})

    async def fork(self, key: str, other: str, *, flag: bool) -> None:
        if key == "plain":
            # No group has that person.
            return
        self.forked += 1
        name = DEFAULT_RULES.of(key).person.rpartition(":")[2]
        await self.harness.store.fork_session(key, f"{key.split(':')[0]}:group:f{self.forked}:user:{name}")

    async def rewind(self, key: str, other: str, *, flag: bool) -> None:
        await self.harness.store.rewind_session(key, 0 if flag else 2)

    async def link(self, key: str, other: str, *, flag: bool) -> None:
        await self.harness.store.link_people(DEFAULT_RULES.of(key).person, DEFAULT_RULES.of(other).person)

    async def unlink(self, key: str, other: str, *, flag: bool) -> None:
        await self.harness.store.unlink_name(DEFAULT_RULES.of(key).person)

    async def code(self, key: str, other: str, *, flag: bool) -> None:
        name = DEFAULT_RULES.of(key).person
        digest = self.canary(key).encode()
        await self.harness.store.keep_link_code(LinkCode(digest, name, self.harness.clock.now() + 600))

    async def delete(self, key: str, other: str, *, flag: bool) -> None:
        if key not in self.busy:
            await self.harness.store.delete_session(key)

    async def erase(self, key: str, other: str, *, flag: bool) -> None:
        person = DEFAULT_RULES.of(key).person
        names = (await self.harness.store.linked_names()).get(person, (person,))
        # Of those whose turns end then, at most one person is erased: at the end.
        if not any(DEFAULT_RULES.of(busy).person in names for busy in self.busy):
            await self.harness.store.erase_person(person)

    async def index(self, key: str, other: str, *, flag: bool) -> None:
        await self.harness.store.index_messages()


_DOINGS = st.tuples(
    st.sampled_from(
        [name for name in vars(Doings) if not name.startswith("_") and name not in ("canary", "start")]
    ),
    st.sampled_from(KEYS),
    st.sampled_from(KEYS),
    st.booleans(),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(_DOINGS, min_size=4, max_size=24), st.sampled_from(PEOPLE))
async def test_of_an_erased_person_nothing_is_left_and_of_others_all_is_as_before(
    doings: list[tuple[str, str, str, bool]], person: str
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        harness = StoreHarness(open_sqlite, Path(directory) / "data", Limits(max_queue=4))
        await harness.open()
        all_ = Doings(harness)
        for doing, key, other, flag in doings:
            harness.clock.advance(1)
            do: Callable[..., Coroutine[Any, Any, None]] = getattr(all_, doing)
            # What cannot be done is refused, and changes nothing.
            with contextlib.suppress(NanobotError):
                await do(key, other, flag=flag)
        names = set((await harness.store.linked_names()).get(person, (person,)))
        others = [key for key in await all_keys(harness) if DEFAULT_RULES.of(key).person not in names]
        theirs = {word for word, told_by in all_.told.items() if told_by & names}
        before = [await seen(harness, key, but=theirs) for key in others]
        with contextlib.suppress(NanobotError):
            await harness.store.erase_person(person)
        assert [await seen(harness, key, but=theirs) for key in others] == before
        for key in (*KEYS, *others):
            assert not [word for word in theirs if word in repr(await seen(harness, key, but=set()))]
        for name in names:
            assert not await people_doors(harness, name)
        await harness.store.write_over()
        await harness.close()
        settle(harness)
        left = every_byte(harness.directory)
        assert not [word for word in theirs if word.encode() in left]


async def all_keys(harness: StoreHarness) -> list[str]:
    sessions = await harness.store.sessions(limit=1_000)
    return sorted({*KEYS, *(session.key for session in sessions)})


def every_byte(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file())


async def seen(harness: StoreHarness, key: str, *, but: set[str]) -> list[Any]:
    """Return all that can be read with the key of a session; of facts, those without the words `but`."""
    store = harness.store
    found: list[Any] = []
    with contextlib.suppress(NanobotError):
        found.append(await store.session(key))
        found.append(await store.messages(key, limit=10_000))
        found.append(await store.branches(key))
        found.append((await store.history(key, 100_000)).messages)
    facts = [
        versions for versions in await store.all_facts(key) if not any(word in repr(versions) for word in but)
    ]
    found.append(facts)
    uploads = (await store.uploads(key, limit=100)).uploads
    found += [(upload, await store.open_upload(upload.id, key)) for upload in uploads]
    found += [hit for hit in await store.search("canary", limit=100) if hit.session.key == key]
    return found


async def people_doors(harness: StoreHarness, name: str) -> list[Any]:
    store = harness.store
    found: list[Any] = []
    with contextlib.suppress(NanobotError):
        found.append(await store.person(name))
    found += await store.facts_of_person(name, limit=100)
    return found
