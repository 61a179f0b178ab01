"""What each session tells the agent reaches the turns of its own layers only: one run over all of them.

Who may be shown which is worked out here again, without the code that is audited.
"""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from http import HTTPStatus

import msgspec

from nanobot.isolation.bodies import chat_body
from nanobot.isolation.canaries import Canaries
from nanobot.isolation.client import Attempt, InspectingClient, Reply, Requester, path_of
from nanobot.isolation.searching_model import TOLD, SearchingModel, question

_CHAT = "POST /v1/chat/completions"
_LINKED_EVERY = 4
_ERASED_EVERY = 10
_MOST_GROUPS = 3


class LayerOptions(msgspec.Struct, frozen=True):
    """The extent of an audit. `parallel`: how many requests run at a time."""

    people: int = 200
    groups: int = 30
    parallel: int = 32
    seed: int = 0


class AuditedSession(msgspec.Struct, frozen=True):
    """A session. `person`: a number; `group`: None in a private chat. `secret`: what it tells."""

    key: str
    name: str
    person: int
    group: int | None
    secret: str

    def may_be_told(self, other: "AuditedSession") -> bool:
        """Return whether a turn of this session may be shown what was said in the other one."""
        if self.group is None:
            return other.group is None and other.person == self.person
        return other.group == self.group


def make_sessions(options: LayerOptions, canaries: Canaries, rng: random.Random) -> list[AuditedSession]:
    """Return the sessions of all people; some have the names of others in another channel."""
    made: list[AuditedSession] = []

    def add(key: str, name: str, person: int, group: int | None = None) -> None:
        made.append(AuditedSession(key, name, person, group, canaries.create(person, "layer")))

    for person in range(options.people):
        user = f"u{person}"
        add(f"wx:dm:{user}", f"wx:{user}", person)
        if person % _LINKED_EVERY == 0:
            # The same user name in the other channel is somebody else's.
            add(f"tg:dm:u{person + 1}", f"tg:u{person + 1}", person)
        for group in rng.sample(range(options.groups), rng.randint(1, min(_MOST_GROUPS, options.groups))):
            add(f"wx:group:g{group}:user:{user}", f"wx:{user}", person, group)
    return made


class LayerAudit:
    """One run. `refresh` has the server take over the links now, `settled` waits until what was told can be
    searched by all that the server has. `tokens`: the API key of each person, which reaches exactly their
    sessions; `operator` reaches all.
    """

    def __init__(
        self,
        client: InspectingClient,
        model: SearchingModel,
        sessions: Sequence[AuditedSession],
        tokens: Sequence[str],
        operator: Requester,
        options: LayerOptions,
        rng: random.Random,
        refresh: Callable[[], Awaitable[None]],
        settled: Callable[[], Awaitable[None]],
    ) -> None:
        self._client = client
        self._model = model
        self._sessions = sessions
        self._tokens = tokens
        self._operator = operator
        self._options = options
        self._rng = rng
        self._refresh = refresh
        self._settled = settled
        self._told_by = {session.secret: session for session in sessions}
        self._erased: set[int] = set()
        self.links = self.told = self.unseen = 0

    @property
    def erased(self) -> int:
        return len(self._erased)

    async def run(self) -> None:
        await self._all(partial(self._tell, session) for session in self._sessions)
        await self._settled()
        seconds = [each for each in self._sessions if each.name.startswith("tg:")]
        # A person's second account is somebody else until it is linked.
        await self._all(partial(self._ask, each) for each in seconds)
        self._check([msgspec.structs.replace(each, person=-1) for each in seconds])
        await self._all(partial(self._link, each) for each in seconds)
        await self._refresh()
        await self._all(partial(self._ask, each) for each in self._sessions)
        self._check(self._sessions)
        await self._all(partial(self._attack, person) for person in range(self._options.people))
        await self._all(
            partial(self._erase, person) for person in range(0, self._options.people, _ERASED_EVERY)
        )
        # Of those who are gone, not even a new member of the group is shown anything.
        new = [
            AuditedSession(f"wx:group:g{group}:user:new", "wx:new", -1, group, "")
            for group in range(self._options.groups)
        ]
        await self._all(partial(self._ask, each, self._operator) for each in new)
        self._check(new)

    async def _all(self, jobs: Iterable[Callable[[], Awaitable[None]]]) -> None:
        """Run the jobs in random order, `parallel` at a time."""
        waiting = list(jobs)
        self._rng.shuffle(waiting)
        rest = iter(waiting)

        async def work() -> None:
            for job in rest:
                await job()

        async with asyncio.TaskGroup() as group:
            for _ in range(self._options.parallel):
                group.create_task(work())

    def _requester(self, person: int) -> Requester:
        return Requester(f"person {person}", self._tokens[person], person)

    async def _chat(self, requester: Requester, key: str, text: str) -> None:
        headers = {"x-session-key": key}
        target = "/v1/chat/completions"
        attempt = Attempt(route=_CHAT, target=target, headers=headers, body=chat_body(text))
        self._must(await self._client.send(requester, attempt), _CHAT)

    def _must(self, reply: Reply, route: str) -> None:
        if reply.status != HTTPStatus.OK:
            self._client.report("not seeded", route, "", detail=f"{reply.status}: {reply.text[:300]}")

    async def _tell(self, session: AuditedSession) -> None:
        text = f"{TOLD}{session.secret}"
        await self._chat(self._requester(session.person), session.key, text)

    async def _ask(self, session: AuditedSession, requester: Requester | None = None) -> None:
        requester = requester or self._requester(session.person)
        await self._chat(requester, session.key, question(session.key))

    def _check(self, askers: Iterable[AuditedSession]) -> None:
        """Report what was in the prompts of those who asked and may not be there, and forget it."""
        for asker in askers:
            others = [
                self._told_by[secret]
                for secret in self._model.seen.get(asker.key, ())
                if self._told_by[secret].key != asker.key
            ]
            for other in others:
                if not asker.may_be_told(other) or other.person in self._erased:
                    detail = f"was shown what {other.key} told"
                    self._client.report("secret", "prompt", asker.key, detail=detail)
            self.told += len(others)
            self.unseen += not others and any(
                asker.may_be_told(other) and other.key != asker.key and other.person not in self._erased
                for other in self._sessions
            )
        self._model.seen.clear()

    # Over HTTP ------------------------------------------------------------------------------------

    async def _link(self, second: AuditedSession) -> None:
        """Link the person's second account with a code that the first one is shown."""
        requester = self._requester(second.person)
        first = f"wx:u{second.person}"
        shown = await self._client.send(requester, _about("POST", first, "/codes"))
        body = json.dumps({"code": shown.field("code")}).encode()
        linked = await self._client.send(requester, _about("POST", second.name, "/links", body))
        self._must(linked, "POST /v1/people/{person_id}/links")
        self.links += 1

    async def _attack(self, person: int) -> None:
        """Ask for other people by all that is known of them, also for fellow members of groups."""
        requester = self._requester(person)
        own = [each for each in self._sessions if each.person == person]
        fellows = [
            each.name
            for each in self._sessions
            if each.person != person and each.group is not None and each.group in {mine.group for mine in own}
        ]
        strangers = [each.name for each in self._sessions if each.person != person]
        victims = [*self._rng.sample(fellows, min(2, len(fellows))), *self._rng.sample(strangers, 2)]
        body = json.dumps({"person": own[0].name}).encode()
        for name in victims:
            for method, rest, sent in (
                ("GET", "", b""),
                ("GET", "/sessions", b""),
                ("GET", "/export", b""),
                ("POST", "/codes", b""),
                ("POST", "/links", body),
                ("DELETE", f"/links/{path_of(name)}", b""),
                ("DELETE", "", b""),
            ):
                await self._client.expect_refusal(requester, _about(method, name, rest, sent))
        route = "GET /v1/people"
        listed = await self._client.send(requester, Attempt(route=route, target="/v1/people?limit=100"))
        self._must(listed, route)
        if listed.status != HTTPStatus.OK:
            return
        found = msgspec.json.decode(listed.text, type=_Listed)
        shown = {name for each in found.data for name in each.names}
        if shown != {each.name for each in own}:
            self._client.report("not refused", route, requester.name, detail=f"lists {sorted(shown)}")

    async def _erase(self, person: int) -> None:
        reply = await self._client.send(self._requester(person), _about("DELETE", f"wx:u{person}"))
        self._must(reply, "DELETE /v1/people/{person_id}")
        self._erased.add(person)


class _ListedPerson(msgspec.Struct):
    names: list[str]


class _Listed(msgspec.Struct):
    data: list[_ListedPerson]


def _about(method: str, name: str, rest: str = "", body: bytes = b"") -> Attempt:
    route = f"{method} /v1/people/{{person_id}}{'/links/{linked_name}' if '/links/' in rest else rest}"
    target = f"/v1/people/{path_of(name)}{rest}"
    return Attempt(route=route, target=target, body=body, refers_by="key")
