"""/v1/people/{person_id}/export: all that is kept of a person, as one JSON object."""

from starlette.types import Send

from nanobot.api.paging import PAGE_BYTES
from nanobot.api.people import ONE, path_person, reach
from nanobot.api.wire import people as wire
from nanobot.core.errors import PersonNotFound, SessionNotFound, UploadNotFound
from nanobot.core.people import PersonSession
from nanobot.core.sessions import SessionFilter
from nanobot.core.store import Store
from nanobot.http.operations import Operation
from nanobot.http.request import Request

_MIME = b"application/json"
_SESSIONS_A_PAGE = 50
_MESSAGES_A_PAGE = 200
_FILES_A_PAGE = 500


class PersonExport:
    """Exports people."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def export(self, request: Request, send: Send) -> None:
        """GET /v1/people/{person_id}/export: sent a page at a time. What is deleted meanwhile is left out."""
        id_, matching = path_person(request), reach(request.caller)
        person = await self._store.person(id_, matching=matching)
        headers = [
            (b"content-type", _MIME),
            (b"content-disposition", b'attachment; filename="person.json"'),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await _more(send, wire.export_begin(person))
        try:
            await self._sessions(send, id_, matching)
        except (PersonNotFound, SessionNotFound):
            # The last of them was deleted.
            pass
        await _more(send, wire.EXPORT_FILES)
        try:
            await self._files(send, id_, matching)
        except (PersonNotFound, UploadNotFound):
            pass
        await send({"type": "http.response.body", "body": wire.EXPORT_END, "more_body": False})

    async def _sessions(self, send: Send, id_: str, matching: SessionFilter) -> None:
        after: str | None = None
        while True:
            page = await self._store.sessions_of_person(
                id_, limit=_SESSIONS_A_PAGE, after=after, matching=matching
            )
            for each in page:
                comma = b",\n" if after is not None else b""
                await _more(send, comma + wire.export_session(each))
                await self._messages(send, each)
                await _more(send, wire.EXPORT_SESSION_END)
                after = each.session.key
            if len(page) < _SESSIONS_A_PAGE:
                return

    async def _messages(self, send: Send, each: PersonSession) -> None:
        """Send the transcript as it is now, whatever is said while it is sent."""
        key = each.session.key
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
        after: str | None = None
        while True:
            page = await self._store.uploads_of_person(
                id_, limit=_FILES_A_PAGE, after=after, matching=matching
            )
            if not page:
                return
            await _more(send, (b",\n" if after is not None else b"") + wire.export_files(page))
            after = page[-1].id


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
