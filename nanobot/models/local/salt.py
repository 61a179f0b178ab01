"""The salt of a session: what keeps the engine's prefix cache from telling one session of another.

The engine reads the beginning that two prompts have in common only once, and says how long it was. A salt of
the session's own stands right behind what the server says to all sessions, so that nothing beyond that can be
common to two sessions, whatever their users write.
"""

import hashlib
import string

import msgspec

from nanobot.core.message import Message, Usage, user

_LETTERS = string.ascii_lowercase
LENGTH = 14
"""How many letters a salt has: 65 bits. It is as many tokens at most, seven or eight with most tokenizers."""
LABEL = "Number of this chat:"
"""Stands before a salt, the same for all: a model takes a bare word before instructions for its own name."""
BEHIND = "(the number of this chat)"
"""Stands behind a salt that nothing may stand before."""
MEASURES = ("a" * LENGTH, "z" * LENGTH)
"""Two salts of no session, without a common beginning."""


def salt_of(session_hint: str) -> str:
    """Return the salt of the session; empty where the session has no name.

    Letters alone: they are fewer tokens than digits, mean nothing to a model, and two salts hardly ever begin
    with the same token.
    """
    if not session_hint:
        return ""
    number = int.from_bytes(hashlib.blake2b(session_hint.encode(), digest_size=16).digest())
    letters: list[str] = []
    for _ in range(LENGTH):
        number, at = divmod(number, len(_LETTERS))
        letters.append(_LETTERS[at])
    return "".join(letters)


def salted_system(system: str, shared: str, salt: str) -> str:
    """Return the system prompt with the salt behind its beginning `shared`; in front where it begins
    otherwise.

    The salt has a line of its own: no tokenizer joins it to the words before it.
    """
    if not salt:
        return system
    if not shared or not system.startswith(shared):
        # Nothing may stand before it.
        return f"{salt}\n{BEHIND}\n\n{system}" if system else salt
    own = system.removeprefix(shared).lstrip("\n")
    return "\n\n".join(filter(None, (shared, f"{LABEL}\n{salt}", own)))


def salted_question(question: Message, salt: str) -> Message:
    """Return the question, which stands behind examples that all sessions share, with the salt before it."""
    return user(f"{salt}\n{question.text}") if salt else question


def without_luck(usage: Usage, shared_tokens: int) -> Usage:
    """Return `usage` with only the session's own among the cached tokens, and the `shared_tokens` before its
    salt: not the tokens that another session's salt begins with by chance.
    """
    if shared_tokens < usage.cached_tokens <= shared_tokens + LENGTH:
        return msgspec.structs.replace(usage, cached_tokens=shared_tokens)
    return usage
