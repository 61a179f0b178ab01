"""What the doors that ask for a turn share: by what a resend is known, what to do while the session is busy,
waiting for the end.
"""

import hashlib
from collections.abc import Container, Mapping

from starlette.types import Receive

from nanobot.core.errors import InvalidRequest
from nanobot.core.message import Audio, Message, Text
from nanobot.core.store import Store
from nanobot.core.turn import Admission, Answer, Identity, WhenBusy
from nanobot.http.connected import Connected
from nanobot.http.operations import Parameter
from nanobot.http.session_key import SESSION_KEY
from nanobot.submit.attachments import Attachments, points_at_something
from nanobot.submit.followers import Followers

_POLICIES: tuple[WhenBusy, ...] = ("queue", "reject", "interrupt", "steer")
PARAMETERS = (
    SESSION_KEY,
    Parameter(
        "x-when-busy",
        "header",
        "what to do while a turn of the session runs",
        {"enum": list(_POLICIES), "default": "queue"},
    ),
    Parameter(
        "idempotency-key",
        "header",
        "by which a resent request is known",
        {"type": "string", "maxLength": 255},
    ),
)
"""What a request for a turn may carry besides its body."""

Headers = tuple[tuple[str, str], ...]
Messages = tuple[Message, ...]


def identity(headers: Mapping[bytes, bytes], body: bytes) -> Identity:
    """Return by what the request is known when it is sent again.

    Raises:
        InvalidRequest: the client's own key is too long.
    """
    retries = headers.get(b"x-stainless-retry-count", b"0")
    key = headers.get(b"idempotency-key", b"").decode("latin-1").strip()
    if len(key) > 255:
        raise InvalidRequest(
            f"Idempotency-Key of {len(key)} characters: at most 255 are allowed", param="Idempotency-Key"
        )
    return Identity(
        digest=hashlib.blake2b(body, digest_size=32).digest(),
        dedupe_key=key or None,
        is_retry=retries.isdigit() and retries.strip(b"0") != b"",
    )


def when_busy(headers: Mapping[bytes, bytes]) -> WhenBusy:
    """Return what the client wants done while a turn of the session runs.

    Raises:
        InvalidRequest
    """
    policy = headers.get(b"x-when-busy", b"queue").decode("latin-1").strip().lower()
    known = next((known for known in _POLICIES if known == policy), None)
    if known is None:
        raise InvalidRequest(
            f"x-when-busy is {policy!r}: it must be one of {', '.join(_POLICIES)}", param="x-when-busy"
        )
    return known


def turn_headers(admission: Admission) -> Headers:
    """Return the headers of whatever answers a request for a turn."""
    headers = (("x-turn-id", admission.turn_id),)
    return (*headers, ("x-history", "ignored")) if admission.history == "ignored" else headers


async def filled(
    store: Store,
    contents: Attachments,
    identity: Identity,
    key: str,
    given: Messages,
    earlier: Messages,
    *,
    model: str,
    listeners: Container[str],
) -> tuple[Messages, Messages]:
    """Return `given` and `earlier` with all that their parts point at, if the model can take it (`listeners`
    take audio). A request that is sent again was filled the first time: what it points at may be gone by now.

    Raises:
        InvalidRequest: it cannot, or something is not to be had.
    """
    # most requests
    if _is_text(given) and _is_text(earlier):
        return given, earlier
    if points_at_something(given) and await store.knows(key, identity):
        return given, earlier
    whole = await contents.fill(given, key)
    if model not in listeners and any(isinstance(part, Audio) for message in whole for part in message.parts):
        raise InvalidRequest(f"the model `{model}` takes no audio: send text instead", param="messages")
    return whole, await contents.fill_history(earlier, key)


def _is_text(messages: Messages) -> bool:
    for message in messages:
        for part in message.parts:
            if type(part) is not Text:
                return False
    return True


async def wait_for_end(
    store: Store, followers: Followers, admission: Admission, receive: Receive
) -> Answer | None:
    """Return the turn's answer; None where the client went away before."""
    followers.join(admission.answered_by)
    result: Answer | None = None
    try:
        async with Connected(receive):
            result = await store.ended(admission.turn_id)
    finally:
        followers.leave(admission.answered_by, has_ended=result is not None)
    return result
