"""/v1/people/{person_id}/export: all that is kept of a person, as one JSON object."""

from starlette.types import Send

from nanobot.api.paging import PAGE_BYTES
from nanobot.api.people import ONE, path_person, reach
from nanobot.api.wire import people as wire
from nanobot.core.errors import PersonNotFound, SessionNotFound
from nanobot.core.people import PersonSession
from nanobot.core.scopes import Scopes
from nanobot.core.sessions import SessionFilter
from nanobot.core.store import Store
from nanobot.http.operations import Operation
from nanobot.http.request import Request

_MIME = b"application/json"
_MESSAGES_A_PAGE = 200
_FILES_A_PAGE = 500
_FACTS_A_PAGE = 50


class PersonExport:
    """Exports people."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def export(self, request: Request, send: Send) -> None:
        """GET /v1/people/{person_id}/export: sent a page at a time. What is deleted meanwhile is left out."""
        id_, matching = path_person(request), reach(request.caller)
        person = await self._store.person(id_, matching=matching)
        keys = await self._keys(id_, matching)
        headers = [
            (b"content-type", _MIME),
            (b"content-disposition", b'attachment; filename="person.json"'),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await _more(send, wire.export_begin(person))
        is_first = True
        for scopes in keys:
            try:
                session = await self._store.session(scopes.session)
            except SessionNotFound:
                continue
            each = PersonSession(session, scopes)
            await _more(send, (b"" if is_first else b",\n") + wire.export_session(each))
            await self._messages(send, scopes.session)
            await _more(send, wire.EXPORT_SESSION_END)
            is_first = False
        await _more(send, wire.EXPORT_FILES)
        await self._files(send, id_, matching)
        await _more(send, wire.EXPORT_FACTS)
        await self._facts(send, id_, matching)
        await send({"type": "http.response.body", "body": wire.EXPORT_END, "more_body": False})

    async def _keys(self, id_: str, matching: SessionFilter) -> tuple[Scopes, ...]:
        try:
            return await self._store.keys_of_person(id_, matching=matching)
        except PersonNotFound:
            # Erased a moment ago.
            return ()

    async def _messages(self, send: Send, key: str) -> None:
        """Send the transcript as it is now, whatever is said while it is sent."""
        try:
            last = await self._store.messages(key, limit=1, order="desc")
            after_seq = 0
            while last and after_seq < last[0].seq:
                page = await self._store.message_page(
                    key,
                    limit=_MESSAGES_A_PAGE,
                    max_bytes=PAGE_BYTES,
                    after_seq=after_seq,
                    tip=last[0].seq,
                )
                comma = b",\n" if after_seq else b""
                after_seq = page.rows[-1].seq
                await _more(send, comma + wire.export_messages(page.rows))
        except SessionNotFound:
            # It was deleted meanwhile: what has been sent of it stays.
            return

    async def _files(self, send: Send, id_: str, matching: SessionFilter) -> None:
        before: str | None = None
        while page := await self._store.uploads_of_person(
            id_, limit=_FILES_A_PAGE, before=before, matching=matching
        ):
            await _more(send, (b",\n" if before is not None else b"") + wire.export_files(page))
            before = page[-1].id

    async def _facts(self, send: Send, id_: str, matching: SessionFilter) -> None:
        after: str | None = None
        while page := await self._store.facts_of_person(
            id_, limit=_FACTS_A_PAGE, after=after, matching=matching
        ):
            await _more(send, (b",\n" if after is not None else b"") + wire.export_facts(page))
            after = page[-1][0].id


async def _more(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


def operation(store: Store) -> Operation:
    """Return the operation that exports a person."""
    return Operation(
        method="GET",
        path=f"{ONE}/export",
        run=PersonExport(store).export,
        summary="All that is kept of a person, as JSON",
        tag="People",
        right="sessions:read",
        answers={200: bytes},
        errors=(PersonNotFound,),
        media_type=_MIME.decode(),
    )
