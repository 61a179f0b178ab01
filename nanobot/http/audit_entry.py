"""What the audit log says of a request: who did what to which conversation. Never what was said."""

from starlette.types import Scope

from nanobot.access.caller import Caller
from nanobot.core.audit import AuditEntry
from nanobot.http.operations import Operation

_UNAUTHORIZED = 401
_SESSION_NAMES = ("key", "session_key", "conversation_id")
"""Parameters of paths that name a conversation; others are ids."""


def entry_of(scope: Scope, at: float, status: int | None) -> AuditEntry | None:
    """Return what is to be written down;

    None for what anybody may ask (`/health`), and for what came to no route.
    """
    client = scope.get("client")
    address = client[0] if client else None
    operation: Operation | None = scope.get("operation")
    if operation is None:
        if status != _UNAUTHORIZED:
            return None
        return AuditEntry(at, "authenticate", address, None, status, request_id=scope["request_id"])
    if operation.right is None:
        return None
    caller: Caller = scope["caller"]
    named: dict[str, str] = scope.get("path_params", {})
    session_key = (
        scope.get("session_key")
        or next((named[name] for name in _SESSION_NAMES if name in named), None)
        or _header(scope)
    )
    target = next((value for name, value in named.items() if name not in _SESSION_NAMES), None)
    is_weighty = operation.method == "DELETE"
    name = f"{operation.method} {operation.path}"
    return AuditEntry(
        at, name, address, caller.key_id, status, session_key, target, scope["request_id"], is_weighty
    )


def _header(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"x-session-key":
            text: str = value.decode("utf-8", "replace")[:256]
            return text
    return None
