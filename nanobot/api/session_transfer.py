"""/v1/sessions/{key}/export and /import: a session as JSON lines."""

from collections.abc import Iterator

from starlette.types import Send

from nanobot.api.paging import PAGE_BYTES
from nanobot.api.sessions import BRANCH, branch_of, check_own, new_key, path_key
from nanobot.api.settings import ApiSettings
from nanobot.api.wire import session_export
from nanobot.api.wire.lists import encode
from nanobot.api.wire.session_lists import SessionObject, session_object
from nanobot.core.clock import Clock
from nanobot.core.errors import (
    BadSessionKey,
    BodyTooLarge,
    MessageNotFound,
    NotAllowed,
    SessionExists,
    SessionNotFound,
)
from nanobot.core.store import Store
from nanobot.http.body import read_body
from nanobot.http.operations import Operation
from nanobot.http.request import Request
from nanobot.http.respond import answer

_EXPORTED_A_PAGE = 200


class SessionTransfer:
    """The export and the import of sessions."""

    def __init__(self, store: Store, clock: Clock, settings: ApiSettings) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings

    async def export(self, request: Request, send: Send) -> None:
        """GET /v1/sessions/{key}/export: the transcript as it was at the request, sent a page at a time."""
        key, tip = path_key(request), branch_of(request.query())
        session = await self._store.session(key)
        # The export ends here, whatever is said while it is sent.
        last = await self._store.messages(key, limit=1, order="desc", tip=tip)
        headers = [
            (b"content-type", session_export.MIME),
            (b"content-disposition", b'attachment; filename="session.jsonl"'),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send(
            {"type": "http.response.body", "body": session_export.header(session), "more_body": bool(last)}
        )
        after_seq = 0
        while last and after_seq < last[0].seq:
            page = await self._store.message_page(
                key, limit=_EXPORTED_A_PAGE, max_bytes=PAGE_BYTES, after_seq=after_seq, tip=last[0].seq
            )
            after_seq = page.rows[-1].seq
            await send(
                {
                    "type": "http.response.body",
                    "body": session_export.lines(page.rows),
                    "more_body": after_seq < last[0].seq,
                }
            )

    async def import_(self, request: Request, send: Send) -> None:
        """POST /v1/sessions/{key}/import"""
        key = new_key(request.caller, request.path_params["key"])
        settings = self._settings
        body = await read_body(request, max_bytes=settings.max_body_bytes, timeout_s=settings.body_timeout_s)
        imported = session_export.read(
            _lines(body),
            self._clock.now(),
            max_entries=settings.max_json_entries,
            bounds=settings.bounds,
        )
        # A preset of another server may not exist here: the default model answers then.
        model = imported.model if imported.model in settings.models else None
        check_own(key, model, imported.instructions, settings)
        session = await self._store.import_session(
            key,
            imported.messages,
            title=imported.title,
            metadata=imported.metadata,
            model=model,
            instructions=imported.instructions,
        )
        await answer(send, 200, encode(session_object(session)))


def _lines(body: bytes) -> Iterator[bytes]:
    """Yield the lines one by one: all of them together would take much more memory than the body."""
    start = 0
    while (end := body.find(b"\n", start)) >= 0:
        yield body[start:end]
        start = end + 1
    yield body[start:]


def operations(store: Store, clock: Clock, settings: ApiSettings) -> tuple[Operation, ...]:
    """Return the operations that export and import sessions."""
    transfer = SessionTransfer(store, clock, settings)
    path = "/v1/sessions/{key}"
    return (
        Operation(
            method="GET",
            path=f"{path}/export",
            run=transfer.export,
            summary="A session as JSON lines",
            tag="Sessions",
            right="sessions:read",
            parameters=(BRANCH,),
            answers={200: bytes},
            errors=(BadSessionKey, SessionNotFound, MessageNotFound),
            media_type=session_export.MIME.decode(),
        ),
        Operation(
            method="POST",
            path=f"{path}/import",
            run=transfer.import_,
            summary="Make a session of JSON lines",
            tag="Sessions",
            right="sessions:write",
            answers={200: SessionObject},
            errors=(SessionNotFound, BodyTooLarge, SessionExists, BadSessionKey, NotAllowed),
        ),
    )
