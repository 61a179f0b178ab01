"""/v1/people: whose the sessions are; linked accounts, export and erasure.

Somebody of whom the caller's patterns reach no session is answered exactly as one who does not exist, and of
the others only what they reach is shown, exported and erased.
"""

from functools import partial

import msgspec
from starlette.types import Send

from nanobot.access import link_codes
from nanobot.access.caller import Caller
from nanobot.access.rate import RateLimiter
from nanobot.api.settings import ApiSettings
from nanobot.api.wire.decoding import decode
from nanobot.api.wire.lists import Page, encode
from nanobot.api.wire.people import (
    LinkBody,
    LinkCodeObject,
    LinkDeleted,
    PersonDeleted,
    PersonObject,
    PersonSessionObject,
    person_object,
    person_session_object,
    receipt,
)
from nanobot.core.clock import Clock
from nanobot.core.errors import (
    BodyTooLarge,
    InvalidLinkCode,
    InvalidRequest,
    MissingRight,
    PersonNotFound,
    RateLimited,
    SessionNotFound,
)
from nanobot.core.ids import Randomness
from nanobot.core.people import MAX_NAME_CHARS, LinkCode
from nanobot.core.sessions import SessionFilter
from nanobot.core.store import Store
from nanobot.http.operations import Operation, Parameter
from nanobot.http.request import Request
from nanobot.http.respond import answer

MOST_LISTED = 100
LISTED = 20
_KEY_CODES_A_MINUTE = 60
_PERSON_CODES_A_MINUTE = 6
"""So often a code may be asked for or tried with one API key, and for one person."""
_MOST_REMEMBERED = 10_000
_read_link = msgspec.json.Decoder(LinkBody)


class PeopleRoutes:
    """The operations on people."""

    def __init__(self, store: Store, clock: Clock, randomness: Randomness, settings: ApiSettings) -> None:
        self._store = store
        self._clock = clock
        self._randomness = randomness
        self._bodies = settings.json_bodies()
        self._tries = RateLimiter(_MOST_REMEMBERED)

    async def list(self, request: Request, send: Send) -> None:
        """GET /v1/people"""
        query = request.query()
        limit = query.whole("limit", default=LISTED, low=1, high=MOST_LISTED)
        # One more than the limit shows that there is another page.
        listed = await self._store.people(
            limit=limit + 1, after=query.text("after"), matching=reach(request.caller)
        )
        shown = tuple(person_object(each) for each in listed[:limit])
        await answer(send, 200, _page(shown, has_more=len(listed) > limit))

    async def show(self, request: Request, send: Send) -> None:
        """GET /v1/people/{person_id}"""
        person = await self._store.person(path_person(request), matching=reach(request.caller))
        await answer(send, 200, encode(person_object(person)))

    async def sessions(self, request: Request, send: Send) -> None:
        """GET /v1/people/{person_id}/sessions"""
        query = request.query()
        limit = query.whole("limit", default=LISTED, low=1, high=MOST_LISTED)
        listed = await self._store.sessions_of_person(
            path_person(request),
            limit=limit + 1,
            after=query.text("after"),
            matching=reach(request.caller),
        )
        shown = tuple(person_session_object(each) for each in listed[:limit])
        await answer(send, 200, _page(shown, has_more=len(listed) > limit))

    async def erase(self, request: Request, send: Send) -> None:
        """DELETE /v1/people/{person_id}"""
        person_id = path_person(request)
        erasure = await self._store.erase_person(person_id, matching=reach(request.caller))
        await answer(send, 200, encode(receipt(person_id, erasure)))

    # Links ----------------------------------------------------------------------------------------

    async def code(self, request: Request, send: Send) -> None:
        """POST /v1/people/{person_id}/codes"""
        person_id, caller = path_person(request), request.caller
        # First: what the caller may not see is not counted, and answered as what does not exist.
        await self._store.check_private(person_id, matching=reach(caller))
        self._hold_to_rate(caller, person_id)
        code = link_codes.new_code(self._randomness)
        expires_at = self._clock.now() + link_codes.LIFE_S
        kept = LinkCode(link_codes.digest_of_code(code), person_id, expires_at)
        await self._store.keep_link_code(kept, matching=reach(caller))
        shown = LinkCodeObject(person=person_id, code=code, expires_at=expires_at)
        await answer(send, 200, encode(shown), (("cache-control", "no-store"),))

    async def link(self, request: Request, send: Send) -> None:
        """POST /v1/people/{person_id}/links"""
        person_id, caller = path_person(request), request.caller
        await self._store.check_private(person_id, matching=reach(caller))
        body, _ = await self._bodies.read(request, lambda raw: decode(raw, _read_link))
        if (body.code is None) == (body.person is None):
            raise InvalidRequest(
                "send either code, as the other chat was shown it, or person, the name of the other account",
                param="code",
            )
        if body.code is not None:
            self._hold_to_rate(caller, person_id)
            digest = link_codes.digest_of_code(body.code)
            linked = await self._store.link_by_code(person_id, digest, matching=reach(caller))
        else:
            if "admin" not in caller.rights:
                raise MissingRight(
                    "this API key may not link people by name: it lacks the right 'admin'; send a code that"
                    " the other chat was shown (POST /v1/people/{person_id}/codes)"
                )
            linked = await self._store.link_people(person_id, body.person or "", matching=reach(caller))
        person = await self._store.person(linked, matching=reach(caller))
        await answer(send, 200, encode(person_object(person)))

    async def unlink(self, request: Request, send: Send) -> None:
        """DELETE /v1/people/{person_id}/links/{linked_name}"""
        matching = reach(request.caller)
        person = await self._store.person(path_person(request), matching=matching)
        name = request.path_params["linked_name"]
        if name not in person.names:
            raise PersonNotFound(f"no person {name!r} here")
        await self._store.unlink_name(name, matching=matching)
        await answer(send, 200, encode(LinkDeleted(id=name)))

    def _hold_to_rate(self, caller: Caller, person_id: str) -> None:
        """Count a code that is asked for or tried.

        Raises:
            RateLimited: there were too many within a minute.
        """
        now = self._clock.now()
        buckets = (
            (f"key {caller.key_id}", _KEY_CODES_A_MINUTE),
            (f"person {person_id}", _PERSON_CODES_A_MINUTE),
        )
        wait_s = max(self._tries.wait_s(name, most, now) for name, most in buckets)
        if wait_s > 0:
            raise RateLimited(
                f"too many codes were asked for or tried: at most {_PERSON_CODES_A_MINUTE} a minute for a"
                f" person, {_KEY_CODES_A_MINUTE} with an API key; try again in {wait_s:.0f} s",
                retry_after_s=wait_s,
            )
        for name, most in buckets:
            self._tries.take(name, most, now)


def reach(caller: Caller) -> SessionFilter:
    """Return the sessions that the caller may see."""
    return SessionFilter(caller.patterns)


def path_person(request: Request) -> str:
    """Return the name of the person in the path.

    Raises:
        PersonNotFound: nobody can have it.
    """
    name = request.path_params["person_id"]
    if len(name) > MAX_NAME_CHARS:
        raise PersonNotFound(f"no person {name[:80]!r}… here: a name has at most {MAX_NAME_CHARS} characters")
    return name


def _page(shown: tuple[PersonObject, ...] | tuple[PersonSessionObject, ...], *, has_more: bool) -> bytes:
    first, last = (shown[0].id, shown[-1].id) if shown else (None, None)
    return encode(Page(data=shown, first_id=first, last_id=last, has_more=has_more))


# Operations ---------------------------------------------------------------------------------------


_LISTING = (
    Parameter(
        "limit",
        "query",
        "how many at most",
        {"type": "integer", "minimum": 1, "maximum": MOST_LISTED, "default": LISTED},
    ),
    Parameter("after", "query", "the id of the last one of the page before"),
)
ONE = "/v1/people/{person_id}"


def operations(
    store: Store, clock: Clock, randomness: Randomness, settings: ApiSettings
) -> tuple[Operation, ...]:
    """Return the operations on people, but for their export."""
    people = PeopleRoutes(store, clock, randomness, settings)
    reading = partial(Operation, tag="People", right="sessions:read")
    writing = partial(Operation, tag="People", right="sessions:write")
    return (
        reading(
            method="GET",
            path="/v1/people",
            run=people.list,
            summary="List the people who have talked to the agent",
            parameters=_LISTING,
            answers={200: Page[PersonObject]},
            errors=(PersonNotFound,),
            links={"person_id": "$response.body#/last_id"},
        ),
        reading(
            method="GET",
            path=ONE,
            run=people.show,
            summary="A person",
            answers={200: PersonObject},
            errors=(PersonNotFound,),
        ),
        reading(
            method="GET",
            path=f"{ONE}/sessions",
            run=people.sessions,
            summary="The sessions of a person",
            parameters=_LISTING,
            answers={200: Page[PersonSessionObject]},
            errors=(PersonNotFound, SessionNotFound),
        ),
        writing(
            method="DELETE",
            path=ONE,
            run=people.erase,
            summary="Delete all sessions of a person for good",
            answers={200: PersonDeleted},
            errors=(PersonNotFound,),
        ),
        writing(
            method="POST",
            path=f"{ONE}/codes",
            run=people.code,
            summary="Get a code that links another account to the person",
            answers={200: LinkCodeObject},
            errors=(PersonNotFound, RateLimited),
        ),
        writing(
            method="POST",
            path=f"{ONE}/links",
            run=people.link,
            summary="Link another account to the person",
            body=LinkBody,
            answers={200: PersonObject},
            errors=(PersonNotFound, InvalidLinkCode, MissingRight, RateLimited, BodyTooLarge),
        ),
        writing(
            method="DELETE",
            path=f"{ONE}/links/{{linked_name}}",
            run=people.unlink,
            summary="Make a linked account a person of its own again",
            answers={200: LinkDeleted},
            errors=(PersonNotFound,),
        ),
    )
