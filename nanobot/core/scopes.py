"""Whom a session key speaks of: the person, the group, the session; and which layers of memory a turn of it
may read and write. Pure functions of the key.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Literal

import msgspec

from nanobot.core.errors import ConfigError
from nanobot.core.late_pattern import LatePattern
from nanobot.core.session_keys import MAX_KEY_CHARS, RESERVED_PREFIX

Layer = Literal["person", "group", "session"]
LAYERS: tuple[Layer, ...] = ("person", "group", "session")

DEFAULT_PATTERNS = ("{channel}:dm:{user}", "{channel}:group:{group}:user:{user}")
"""The conventions that need no setting; they come after those of the settings."""

_OPAQUE = "key:"
_PLACEHOLDER = LatePattern(r"\{([^{}]*)\}")
_NAMES = ("channel", "user", "group", "rest")


class Scopes(msgspec.Struct, frozen=True):
    """Whom a session key speaks of.

    `session`: the key. `person`: `channel:user`, the same for every key of that user; a key that no pattern
    fits is a person of its own, by the name of the key. `group`: `channel:group` where the key names one.
    """

    session: str
    person: str
    group: str | None = None


class ScopePattern(msgspec.Struct, frozen=True):
    """A convention for session keys: text with `{channel}`, `{user}`, `{group}` and `{rest}` in it.

    `{rest}` stands for any text up to the end of the key, the others for text without a colon that is not
    empty. `channel`: the channel of keys that do not name theirs.
    """

    text: str
    channel: str | None = None


class ScopeRules:
    """Says whom a session key speaks of: by the first of the patterns that fits it, then by the defaults.

    Raises:
        ConfigError: a pattern makes no sense.
    """

    def __init__(self, patterns: Sequence[ScopePattern] = ()) -> None:
        defaults = (ScopePattern(text) for text in DEFAULT_PATTERNS)
        self._patterns = tuple(
            (_expression(pattern, f"scopes[{number}]"), pattern.channel)
            for number, pattern in enumerate((*patterns, *defaults))
        )
        self.fingerprint = "\n".join(f"{found.pattern}\t{channel or ''}" for found, channel in self._patterns)
        """Changes where a key may speak of somebody else than before."""
        self.are_default = not patterns
        """Whether a person has one private key in each channel."""
        self.of = lru_cache(1024)(self._of)

    def _of(self, session_key: str) -> Scopes:
        """Return whom the session key speaks of. The server's own keys speak of nobody."""
        if session_key.startswith(RESERVED_PREFIX):
            return Scopes(session_key, own_name(session_key))
        for expression, channel in self._patterns:
            found = expression.fullmatch(session_key)
            if found is None:
                continue
            parts = found.groupdict()
            channel = parts.get("channel") or channel
            group = parts.get("group")
            return Scopes(
                session_key, f"{channel}:{parts['user']}", None if group is None else f"{channel}:{group}"
            )
        return Scopes(session_key, own_name(session_key))


def own_name(session_key: str) -> str:
    """Return the name of the person that a key without a user is: one that no user has, and no other key.

    Users' names have one colon. A key with one colon is marked by a second; so is a key with the mark.
    """
    if session_key.count(":") == 1 or session_key.startswith(_OPAQUE):
        return _OPAQUE + session_key
    return session_key


def _expression(pattern: ScopePattern, where: str) -> LatePattern[str]:
    """Return the pattern as a regular expression, which takes time in proportion to the key's length: no
    placeholder can take the text after it.
    """
    text, channel = pattern.text, pattern.channel
    if not text.strip() or len(text) > MAX_KEY_CHARS or not text.isprintable():
        raise ConfigError(
            f"{where}: pattern is {text[:80]!r}: it must have 1 to {MAX_KEY_CHARS} printable characters, as"
            f" {DEFAULT_PATTERNS[0]}"
        )
    pieces = _PLACEHOLDER.split(text)
    names = pieces[1::2]
    for name in names:
        if name not in _NAMES:
            raise ConfigError(
                f"{where}: pattern {text!r} has the placeholder {{{name}}}: there are"
                f" {', '.join(f'{{{known}}}' for known in _NAMES)}"
            )
        if names.count(name) > 1:
            raise ConfigError(f"{where}: pattern {text!r} has {{{name}}} twice: name it once")
    if any(sign in literal for literal in pieces[::2] for sign in "{}"):
        raise ConfigError(f"{where}: pattern {text!r} has a brace without its other one")
    if "user" not in names:
        raise ConfigError(f"{where}: pattern {text!r} has no {{user}}: it would make one person of all users")
    if "rest" in names and not text.endswith("{rest}"):
        raise ConfigError(f"{where}: pattern {text!r} goes on after {{rest}}: that is the end of the key")
    if "channel" in names and channel is not None:
        raise ConfigError(f"{where}: pattern {text!r}: its keys name their channel, leave `channel` out")
    if "channel" not in names and channel is None:
        raise ConfigError(
            f"{where}: pattern {text!r}: its keys name no channel: add {{channel}}, or set `channel`"
        )
    if channel is not None and (not channel.strip() or ":" in channel or not channel.isprintable()):
        raise ConfigError(f"{where}: channel is {channel!r}: it must be printable, without a colon")
    return LatePattern(
        "".join(_piece(pieces, number, where, text) for number in range(len(pieces))), re.DOTALL
    )


def _piece(pieces: Sequence[str], number: int, where: str, text: str) -> str:
    piece = pieces[number]
    if number % 2 == 0:
        return re.escape(piece)
    if piece == "rest":
        return "(?P<rest>.*)"
    after = pieces[number + 1]
    if not after and number + 2 < len(pieces):
        raise ConfigError(
            f"{where}: pattern {text!r}: nothing stands between {{{piece}}} and {{{pieces[number + 2]}}}, so"
            " nothing says where one ends"
        )
    return f"(?P<{piece}>[^:{re.escape(after[:1])}]+)"


DEFAULT_RULES = ScopeRules()
"""Without settings."""


class LayerReach(msgspec.Struct, frozen=True):
    """A layer that a turn may use. `owner`: the name of the person or the group, or the session key.
    `only_public`: of it only what is marked as public.
    """

    layer: Layer
    owner: str
    only_public: bool = False


def readable(
    scopes: Scopes, *, linked: Iterable[str] = (), shows_private_in_groups: bool = False
) -> tuple[LayerReach, ...]:
    """Return what a turn of the session may read.

    `linked`: the other names of the same person, in any order. `shows_private_in_groups`: the person, or the
    settings, let what was said in private be used where the person speaks in a group.
    """
    only_public = scopes.group is not None and not shows_private_in_groups
    names = (scopes.person, *sorted(set(linked) - {scopes.person}))
    people = tuple(LayerReach("person", name, only_public) for name in names)
    groups = (LayerReach("group", scopes.group),) if scopes.group is not None else ()
    return (*people, *groups, LayerReach("session", scopes.session))


def writable(scopes: Scopes, *, promoted_to: str | None = None) -> tuple[LayerReach, ...]:
    """Return what a turn of the session may write, the usual layer first.

    What is said in private is the person's, what is said in a group is the group's. `promoted_to`: a group
    that the person asked to tell something, and has spoken in: the caller has looked.
    """
    own = (
        LayerReach("group", scopes.group) if scopes.group is not None else LayerReach("person", scopes.person)
    )
    reaches = (own, LayerReach("session", scopes.session))
    if promoted_to is None or promoted_to == scopes.group:
        return reaches
    return (*reaches, LayerReach("group", promoted_to))
