"""What the audit log says of a request: who did what to which conversation. Never what was said."""

import hashlib
from http import HTTPStatus

from nanobot.core.audit_log import AuditEntry
from nanobot.core.workspace import FILE_ID_PREFIX
from nanobot.http.request import Request

_DIGEST_BYTES = 8
_SESSION_NAMES = ("key", "session_key", "conversation_id", "person_id", "linked_name")
"""Parameters of paths that name a conversation, or whose they are; others are ids."""


def audit_entry(request: Request, at: float, status: int | None, *, polls: bool) -> AuditEntry | None:
    """Return what is written down;

    None for what anybody may ask (`/health`), for what came to no route, and, unless `polls`, for a poll that
    had no answer yet, or a scrape.
    """
    route = request.route
    if request.is_poll and not polls:
        return None
    if route is None:
        # Keys are checked before routes: of all requests without a route only a refused key is of interest.
        if status != HTTPStatus.UNAUTHORIZED:
            return None
        return AuditEntry(at, "authenticate", request.address, None, status, request_id=request.id)
    if route.right is None:
        return None
    named = request.path_params
    session_key = (
        request.session_key
        or next((named[name] for name in _SESSION_NAMES if name in named), None)
        # The request may have been refused before its operation read the header.
        or _session_header(request)
    )
    return AuditEntry(
        at,
        f"{route.method} {route.path}",
        request.address,
        request.caller.key_id,
        status,
        session_key,
        next((_target(value) for name, value in named.items() if name not in _SESSION_NAMES), None),
        request.id,
        is_urgent=route.method == "DELETE",
    )


def _target(id_: str) -> str:
    """Return the id as it is written down: the path of a file of the agent says what it was asked for."""
    if not id_.startswith(FILE_ID_PREFIX):
        return id_
    digest = hashlib.blake2b(id_.encode("utf-8", "replace"), digest_size=_DIGEST_BYTES)
    return f"{FILE_ID_PREFIX}#{digest.hexdigest()}"


def _session_header(request: Request) -> str | None:
    value = request.headers.get(b"x-session-key")
    return value.decode("utf-8", "replace")[:256] if value is not None else None
