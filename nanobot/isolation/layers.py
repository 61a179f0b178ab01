"""An audit of people and groups: what each session tells the agent reaches the turns of its own layers only.

Each person has a private chat, some a second account that is linked by a code, and is in some groups. Every
session tells a secret in the same words; then every session asks for it, with a model that searches for all
it can find. Who may be shown which is worked out here again, without the code that is audited.
"""

import asyncio
import json
import random
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Sequence
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import get_args

import aiohttp
import msgspec

from nanobot.app import App, Models, open_app
from nanobot.config import Config, KeyTable
from nanobot.core.event import Delta, TextDelta
from nanobot.core.message import Message, Text, ToolCall, Usage
from nanobot.core.model import Ability, ModelRequest
from nanobot.isolation.attempts import chat_body
from nanobot.isolation.canaries import Canaries, secrets_in
from nanobot.isolation.client import Attempt, InspectingClient, Leak, Reply, Requester, path_of
from nanobot.isolation.run import isolated_config
from nanobot.isolation.server import serve_on_free_port
from nanobot.isolation.tenants import exact_pattern, hash_of
from nanobot.tools.history import SEARCH_HISTORY
from nanobot.tools.memory import RECALL, REMEMBER

_CHAT = "POST /v1/chat/completions"
_ASKED = "who-asks"
_QUESTION = "what is the code of the garage door?"
_TOLD = "the code of the garage door is "
_LINKED_EVERY = 4
_ERASED_EVERY = 10
_MOST_GROUPS = 3
_PAGES = 3
_REFUSAL_S = 10.0
_LOOK_S = 0.5


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


class LayerReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a run. `told`: how often a turn was shown another session's secret that it may be shown,
    `recalled`: how often facts were found by a tool, `unseen`: how many sessions were shown none although
    they may be; `erased`: how many people were.
    """

    people: int
    groups: int
    sessions: int
    links: int
    erased: int
    seed: int
    seconds: float
    prompts: int
    told: int
    recalled: int
    unseen: int
    requests: int
    leaks: Sequence[Leak]

    @property
    def is_clean(self) -> bool:
        """Whether nothing leaked, and what may be seen was seen: else its absence would prove nothing."""
        return not self.leaks and self.told > 0


def layer_lines(report: LayerReport) -> Iterator[str]:
    """Yield the report as lines of text."""
    yield (
        f"{report.people} people in {report.groups} groups: {report.sessions} sessions, {report.links} linked"
        f" accounts, {report.erased} people erased"
    )
    yield (
        f"{report.prompts} prompts; {report.told} times a turn was shown a secret of another session of its"
        f" layer, {report.recalled} times a tool found noted facts, {report.unseen} sessions were shown none"
    )
    yield f"{report.requests} requests in {report.seconds:.0f} s"
    for leak in report.leaks[:50]:
        yield f"LEAK ({leak.kind}): {leak.where}: {leak.requester} {leak.detail}".rstrip()
    yield f"{len(report.leaks)} leaks, seed {report.seed}"


class SearchingModel:
    """A `Model` that notes down what it is told, and searches with every tool for all it can find where it is
    asked; it repeats none of it. `seen`: the secrets that stood in the prompts of whoever asked, by the
    asker's key; `prompts`: how many there were; `recalled`: in how many a tool had found noted facts.
    """

    name = "searching"
    context_tokens = 1_000_000
    abilities: frozenset[Ability] = frozenset(get_args(Ability))

    def __init__(self) -> None:
        self.prompts = 0
        self.recalled = 0
        self.seen: dict[str, set[str]] = {}

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta | Message, None]:
        self.prompts += 1
        question = next((each.text for each in reversed(request.messages) if each.role == "user"), "")
        asker = question.rpartition(f"{_ASKED} ")[2]
        if _QUESTION in question:
            prompt = msgspec.json.encode(msgspec.structs.replace(request, audience=None)).decode()
            self.seen.setdefault(asker, set()).update(secrets_in(prompt))
        calls = self._calls(question, {tool.name for tool in request.tools})
        answered = next(
            (number for number, each in enumerate(reversed(request.messages)) if each.role == "user"), 0
        )
        if answered:
            self.recalled += any(
                "code of the garage door" in result.content and result.call_id == f"call_{RECALL}"
                for result in request.messages[-1].tool_results
            )
        elif calls:
            yield Message("assistant", tuple(calls), "tool_calls", Usage(1, 1), self.name)
            return
        yield TextDelta("ok")
        yield Message("assistant", (Text("ok"),), "stop", Usage(1, 1), self.name)

    def _calls(self, question: str, offered: set[str]) -> list[ToolCall]:
        """Return what is called: what is told is noted down; what is asked is looked for, page by page."""
        wanted: list[tuple[str, str, dict[str, object]]] = []
        if _QUESTION in question:
            wanted += [
                (f"call_{page}", SEARCH_HISTORY, {"query": "code garage door", "page": page})
                for page in range(1, _PAGES + 1)
            ]
            wanted.append((f"call_{RECALL}", RECALL, {"query": "code of the garage door"}))
        elif _TOLD in question:
            wanted.append(("call_note", REMEMBER, {"fact": question[question.index(_TOLD) :]}))
        return [
            ToolCall(id_, name, msgspec.json.encode(arguments).decode())
            for id_, name, arguments in wanted
            if name in offered
        ]

    async def check(self) -> None:
        """Always ready."""

    async def warm(self) -> None:
        """Nothing to load."""

    async def close(self) -> None:
        """Holds nothing."""


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
        text = f"{_TOLD}{session.secret}"
        await self._chat(self._requester(session.person), session.key, text)

    async def _ask(self, session: AuditedSession, requester: Requester | None = None) -> None:
        requester = requester or self._requester(session.person)
        await self._chat(requester, session.key, f"{_QUESTION} {_ASKED} {session.key}")

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


async def _searchable(app: App, *, has_vectors: bool) -> None:
    """Return once what was said is in the index, and has vectors where they are on."""
    while not await app.store.index_messages():
        pass
    while has_vectors and await app.store.unembedded() is not None:
        await app.clock.sleep(_LOOK_S)


class _ListedPerson(msgspec.Struct):
    names: list[str]


class _Listed(msgspec.Struct):
    data: list[_ListedPerson]


def _about(method: str, name: str, rest: str = "", body: bytes = b"") -> Attempt:
    route = f"{method} /v1/people/{{person_id}}{'/links/{linked_name}' if '/links/' in rest else rest}"
    target = f"/v1/people/{path_of(name)}{rest}"
    return Attempt(route=route, target=target, body=body, refers_by="key")


async def run_layer_audit(
    config: Config, options: LayerOptions, show_progress: Callable[[str], None] = lambda _: None
) -> LayerReport:
    """Run an audit with the settings of `config`, and return what it found; the data directory of `config` is
    not touched.

    Raises:
        ConfigError, StoreError: the app cannot be opened with these settings.
    """
    rng = random.Random(options.seed)  # noqa: S311 - secrets of a server that is gone afterwards
    canaries = Canaries(rng)
    sessions = make_sessions(options, canaries, rng)
    tokens = [f"nb-{rng.getrandbits(256):064x}" for _ in range(options.people)]
    operator = Requester("the operator", f"nb-{rng.getrandbits(256):064x}")
    keys = [
        KeyTable(
            name=f"person {person}",
            hash=hash_of(token),
            sessions=tuple(exact_pattern(each.key) for each in sessions if each.person == person),
        )
        for person, token in enumerate(tokens)
    ]
    keys.append(KeyTable(name="operator", hash=hash_of(operator.token or "")))
    model, started = SearchingModel(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="nanobot-audit-", ignore_cleanup_errors=True) as folder:
        isolated = isolated_config(config, Path(folder), keys, options.parallel)
        recall = msgspec.structs.replace(isolated.recall, people=True)
        isolated = msgspec.structs.replace(isolated, recall=recall)
        async with (
            open_app(isolated, Models(model, dict.fromkeys(config.models, model))) as app,
            serve_on_free_port(app.asgi) as origin,
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()
            ) as http,
        ):
            client = InspectingClient(http, origin, canaries, _REFUSAL_S)
            show_progress(f"{len(sessions)} sessions tell a secret each, and ask for those of the others")
            audit = LayerAudit(
                client,
                model,
                sessions,
                tokens,
                operator,
                options,
                rng,
                app.accounts.people.refresh,
                partial(_searchable, app, has_vectors=isolated.memory.vectors),
            )
            await audit.run()
    return LayerReport(
        people=options.people,
        groups=options.groups,
        sessions=len(sessions),
        links=audit.links,
        erased=audit.erased,
        seed=options.seed,
        seconds=time.monotonic() - started,
        prompts=model.prompts,
        told=audit.told,
        recalled=model.recalled,
        unseen=audit.unseen,
        requests=sum(client.requests.values()),
        leaks=client.leaks,
    )
