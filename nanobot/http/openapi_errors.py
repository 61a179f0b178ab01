"""Which errors an operation may answer, for the OpenAPI document."""

import re

from nanobot.core.errors import (
    BadApiKey,
    BadSessionKey,
    BodyTooLarge,
    ForbiddenOrigin,
    HeadTooLarge,
    InvalidHttp,
    InvalidJson,
    InvalidRequest,
    MethodNotAllowed,
    MissingRight,
    MissingSessionKey,
    ModelError,
    NanobotError,
    Overloaded,
    RouteNotFound,
    SessionNotFound,
    SlowRequest,
    StoreCorrupt,
    StoreError,
    StreamingOff,
    TooManyAttempts,
    TooManyBadKeys,
    TurnCancelled,
    TurnTimedOut,
    UploadNotFound,
)
from nanobot.http.operations import Operation
from nanobot.http.session_key import HEADER

SESSION_KEYS = frozenset({"key", "session_key"})
"""Parameters of paths that are session keys."""
_ANYWHERE: tuple[type[NanobotError], ...] = (
    InvalidRequest,
    InvalidHttp,
    ForbiddenOrigin,
    RouteNotFound,
    MethodNotAllowed,
    HeadTooLarge,
)
"""What any route may answer besides its own errors; `NanobotError` itself stands for a bug."""
_OF_A_BODY: tuple[type[NanobotError], ...] = (InvalidJson, BodyTooLarge, SlowRequest, Overloaded)
_OF_A_TURN: tuple[type[NanobotError], ...] = (
    TurnCancelled,
    TurnTimedOut,
    TooManyAttempts,
    SessionNotFound,
    StreamingOff,
)
"""How a turn may end: an operation that may raise a `ModelError` may raise these."""
_OF_A_SESSION: tuple[type[NanobotError], ...] = (BadSessionKey, MissingSessionKey, SessionNotFound)
_NEVER_SHOWN = frozenset({"stale_attempt", "store_locked", "store_too_new"})
"""Codes below `StoreError` that no request meets: the first is the fence's, the others keep a server from
starting.
"""


def parameter_names(operation: Operation) -> list[str]:
    """Return the names of the parameters in the path."""
    return re.findall(r"{(\w+)(?::\w+)?}", operation.path)


def error_codes(operation: Operation) -> dict[int, list[str]]:
    """Return the codes of the errors that the operation may answer, by status."""
    raised = [*_ANYWHERE, *operation.errors]
    if operation.right is not None:
        raised += [BadApiKey, TooManyBadKeys, MissingRight]
        raised += _below(StoreError)
    if operation.body is not None or operation.form is not None:
        raised += _OF_A_BODY
    if any(parameter.name == HEADER for parameter in operation.parameters) or SESSION_KEYS.intersection(
        parameter_names(operation)
    ):
        raised += _OF_A_SESSION
    if ModelError in operation.errors:
        raised += _OF_A_TURN
    if ModelError in operation.errors or (operation.body is not None and UploadNotFound in operation.errors):
        # Messages and the files beside them can be invalid in any of these ways.
        raised += _below(InvalidRequest)
    codes: dict[int, list[str]] = {NanobotError.http_status: [NanobotError.code]}
    for error in (kind for kind_ in raised for kind in (_below(kind_) if kind_ is ModelError else (kind_,))):
        known = codes.setdefault(error.http_status, [])
        if error.code not in known and error.code not in _NEVER_SHOWN:
            known.append(error.code)
    return codes


def _below(error: type[NanobotError]) -> list[type[NanobotError]]:
    # Only the tree itself: the document must not depend on what else is imported, such as the CLI's own
    # errors.
    children = (child for child in error.__subclasses__() if child.__module__ == StoreCorrupt.__module__)
    return [error, *(kind for child in children for kind in _below(child))]
