"""What there is to say of a call without an answer, or of an answer that may not be kept as it is."""

import msgspec
from mcp import MCPError
from pydantic import ValidationError

from nanobot.tools.mcp.messages import Answer, Answered, InputRequest, NotDone, Order
from nanobot.tools.mcp.oauth import without_secrets
from nanobot.tools.mcp.reading import plain

MAX_WHY_CHARS = 500


def garbled(order: Order, came: str) -> Answered:
    """Return what there is to say of an answer that cannot be read."""
    return Answered(
        order.id,
        f"the answer cannot be read; whether the call was carried out is unknown: check before you repeat it."
        f" {plain(' '.join(came.split()))[:MAX_WHY_CHARS]}",
        is_error=True,
    )


def masked(answer: Answer, secrets: tuple[str, ...]) -> Answer:
    """Return the answer without the token that the server was sent: what it says is kept and shown."""
    if isinstance(answer, NotDone):
        return msgspec.structs.replace(answer, why=without_secrets(answer.why, secrets))
    if isinstance(answer, Answered):
        return msgspec.structs.replace(answer, text=without_secrets(answer.text, secrets))
    asks = tuple(
        InputRequest(each.key, msgspec.Raw(without_secrets(bytes(each.params).decode(), secrets).encode()))
        for each in answer.asks
    )
    return msgspec.structs.replace(answer, asks=asks, so_far=without_secrets(answer.so_far, secrets))


def reason_of(error: BaseException) -> str:
    """Return what the error says; of several at once, the first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, FileNotFoundError):
        return f"there is no program {error.filename!r}" if error.filename else "there is no such program"
    if isinstance(error, MCPError):
        return error.error.message
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        return f"it answered what is not MCP: {place}: {first['msg']}"
    return str(error) or type(error).__name__
