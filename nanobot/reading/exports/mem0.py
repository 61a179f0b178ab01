"""mem0's memories: a list of JSON objects, or an object with one under `results` or `memories`."""

from typing import Any

import msgspec

from nanobot.core.errors import InvalidRequest
from nanobot.reading.exports.found import ExportContent, FoundFact, moment

_EMPTY = "memories without text"
_EXPIRED = "memories that have expired"
_OF_AGENT = "memories of an agent, not of a user"
_LISTS = ("results", "memories", "data")
_TEXTS = ("memory", "text", "data", "content")
_MOST = 200_000


def read(content: bytes, name: str, now: float) -> ExportContent:
    """Return the memories; those without a time are of `now`.

    Raises:
        InvalidRequest: there are none.
    """
    try:
        value = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"{name} is not JSON; nothing was imported") from error
    if isinstance(value, dict):
        value = next((value[key] for key in _LISTS if isinstance(value.get(key), list)), None)
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise InvalidRequest(
            f"{name} is no list of memories, each an object with `memory` or `text`; nothing was imported"
        )
    if len(value) > _MOST:
        raise InvalidRequest(
            f"{name} has {len(value)} memories: at most {_MOST} are read, split it; nothing was imported"
        )
    found = ExportContent.nothing("mem0")
    for each in value:
        _take(found, each, now)
    if value and not found.facts and found.left_out[_EMPTY] == len(value):
        raise InvalidRequest(
            f"{name}: none of its {len(value)} entries has `memory` or `text`; nothing was imported"
        )
    return found


def _take(found: ExportContent, record: dict[str, Any], now: float) -> None:
    # What its vector stores keep has the fields under `payload`.
    payload = record.get("payload")
    fields = {**payload, **record} if isinstance(payload, dict) else record
    text = next((fields[key] for key in _TEXTS if isinstance(fields.get(key), str)), "").strip()
    if not text:
        found.left_out[_EMPTY] += 1
        return
    until = moment(fields.get("expiration_date"))
    if until is not None and until < now:
        found.left_out[_EXPIRED] += 1
        return
    user = fields.get("user_id")
    if not isinstance(user, str | int) and fields.get("agent_id"):
        found.left_out[_OF_AGENT] += 1
        return
    at = moment(fields.get("updated_at")) or moment(fields.get("created_at")) or now
    names = {"user": str(user)} if isinstance(user, str | int) and str(user) else {}
    found.facts.append(FoundFact(text.encode("utf-8", "replace").decode(), min(at, now), names=names))
