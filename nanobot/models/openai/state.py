"""Provider state: what comes with an answer and goes back with the conversation.

Fields for thinking hold its text, and are kept as the name alone; all others are kept as they came.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from nanobot.core.message import Part, ProviderState, Text, Thinking

REASONING_DETAILS = "reasoning_details"
CONTENT = "content"
"""The name of thinking that came in tags within the text, at a provider that wants it back there."""
REASONING_CONTENT = "reasoning_content"
THOUGHT_SIGNATURE = "thought_signature"
NO_SIGNATURE = {"google": {THOUGHT_SIGNATURE: "skip_thought_signature_validator"}}
"""What Google documents for calls that another model made.

Source: https://ai.google.dev/gemini-api/docs/thought-signatures
"""
FIELDS = frozenset({CONTENT, REASONING_CONTENT, "reasoning", REASONING_DETAILS, "extra_content"})
"""The names of all state that comes in chat completions."""
_NATIVE_SIGNATURE = "thoughtSignature"
ITS_TEXT = msgspec.Raw(b"null")
"""The value of a state that is the text of its part."""
_JOINED_FIELDS = ("text", "summary", "signature")
_encode = msgspec.json.Encoder().encode
_EMPTY = frozenset({b"", b"null", b"{}", b"[]", b'""'})


def kept(provider: str, name: str, value: msgspec.Raw) -> ProviderState | None:
    """Return the state that a field holds; None where it holds nothing, or what cannot be stored."""
    raw = bytes(value)
    if raw in _EMPTY:
        return None
    try:
        raw.decode()
    except UnicodeDecodeError:
        return None
    return ProviderState(provider, name, msgspec.Raw(raw))


def in_this_format(state: ProviderState) -> ProviderState:
    """Return the state as this format names it: Google attaches the same signatures in both of its APIs."""
    if state.name != _NATIVE_SIGNATURE:
        return state
    content = b'{"google":{"thought_signature":%b}}' % bytes(state.value)
    return ProviderState(state.provider, "extra_content", msgspec.Raw(content))


# Details of reasoning, which are streamed in pieces -----------------------------------------------


def add_details(details: list[dict[str, Any]], pieces: Iterable[object]) -> str:
    """Add the pieces that a chunk holds to `details`; return the thinking that they show."""
    shown: list[str] = []
    for piece in pieces:
        if not isinstance(piece, dict):
            continue
        known = details[-1] if details else None
        if known is not None and _continues(known, piece):
            shown.append(_extend(known, piece))
        else:
            details.append(dict(piece))
            shown.append(_shown(piece))
    return "".join(shown)


def with_details(parts: Sequence[Part], provider: str, details: list[dict[str, Any]]) -> list[Part]:
    """Return the parts of a message with the details at its first thinking."""
    state = ProviderState(provider, REASONING_DETAILS, msgspec.Raw(_encode(details)))
    thoughts = [part for part in parts if isinstance(part, Thinking)]
    if not thoughts:
        return [Thinking("", state), *parts]
    first = thoughts[0]
    return [
        Thinking(part.text, state if part is first else None) if isinstance(part, Thinking) else part
        for part in parts
    ]


def with_state(parts: Sequence[Part], state: ProviderState) -> list[Part]:
    """Return the parts of a message with a state of the whole message at its last text."""
    last = next((part for part in reversed(parts) if isinstance(part, Text)), None)
    return [Text(part.text, state) if part is last and isinstance(part, Text) else part for part in parts]


def _continues(known: dict[str, Any], piece: dict[str, Any]) -> bool:
    if known.get("type") != piece.get("type") or known.get("index") != piece.get("index"):
        return False
    return not known.get("data") and not piece.get("data") and known.get("id") in (None, piece.get("id"), "")


def _extend(known: dict[str, Any], piece: dict[str, Any]) -> str:
    """Add a piece to what it continues; return the thinking that is new in it."""
    before = _shown(known)
    for field, value in piece.items():
        old = known.get(field)
        if field not in _JOINED_FIELDS or not isinstance(old, str) or not isinstance(value, str):
            known[field] = old if value is None else value
        elif old and value.startswith(old) and field != "signature":
            # Some servers send all that there is by now.
            known[field] = value
        else:
            known[field] = old + value
    return _shown(known)[len(before) :]


def _shown(detail: dict[str, Any]) -> str:
    text = detail.get("text") or detail.get("summary")
    return text if isinstance(text, str) else ""
