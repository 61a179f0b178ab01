"""Tenants: users of the audited server. Each has session keys, and an API key limited to exactly these."""

import hashlib
import random
import unicodedata

import msgspec

from nanobot.config import KeyTable
from nanobot.core.accounts import RIGHTS
from nanobot.core.scopes import DEFAULT_RULES
from nanobot.isolation.canaries import Canaries

_CONFUSABLE_KEYS = (
    "wx:dm:a_b",
    "wx:dm:a:b",
    "wx:dm:a/b",
    "wx:dm:a%2Fb",
    "wx:dm:a",
    "wx:dm:",
    "wx:dm",
    "WX:DM:A_B",
    "wx:dm:a-b",
    "wx:dm:axb",
    "wx:dm:*",
    "wx:dm:?",
    "wx:dm:[a]",
    "wx:dm:[!a]",
    "wx:dm:[a-z]_b",
    "wx:dm:%",
    "wx:dm:a\\b",
    "wx:dm:a\\*b",
    "*",
    "%",
    "_",
    "?",
    "..",
    "../..",
    "%2e%2e",
    ".",
    "/",
    "//",
    "/v1/sessions",
    "wx:dm:a/messages",
    "wx:dm:a?limit=1",
    "wx:dm:a#b",
    "wx:group:g",
    "wx:group:g:user:ag",
    "wx:group:g/user:a:user:agg",
    unicodedata.normalize("NFC", "wx:dm:Zoë"),
    unicodedata.normalize("NFD", "wx:dm:Zoë"),
    "wx:dm:zoë",
    "wx:dm:ﬁ",
    "wx:dm:fi",
    "wx:dm:ı",
    "wx:dm:i",
    "wx:dm:İ",
    "wx:dm:а",
    "wx:dm:a b",
    "wx:dm:a+b",
    "wx:dm:a'--",
    'wx:dm:a"b',
    "wx:dm:a;DROP TABLE session",
    "wx:dm:" + "a" * 200,
    "wx:dm:" + "a" * 199 + "b",
    "null",
    "None",
    "0",
    "turn_x",
)
"""Session keys that are easily confused: with each other, with a pattern, a path or a query. No two are of
the same person or the same group (`layers.py` has those).
"""


class Resources(msgspec.Struct):
    """The keys and ids of what a tenant has, as far as an attacker could know or guess them.

    `word`: a word in its transcript, to search for.
    """

    session_key: str
    turns: list[str] = []
    files: list[str] = []
    responses: list[str] = []
    conversations: list[str] = []
    items: list[str] = []
    facts: list[str] = []
    approvals: list[str] = []
    approval_rules: list[str] = []
    messages: tuple[str, ...] = ("msg_1", "msg_2")
    word: str = "nothing"
    idempotency_key: str = "nothing"

    @property
    def person(self) -> str:
        """The name of the person whom the main session's key speaks of."""
        return DEFAULT_RULES.of(self.session_key).person

    def names(self) -> list[str]:
        """Return all of them but the message ids, which are the same in every session."""
        return [
            self.session_key,
            self.person,
            *self.turns,
            *self.files,
            *self.responses,
            *self.conversations,
            *self.items,
            *self.facts,
            *self.approvals,
            *self.approval_rules,
            self.word,
            self.idempotency_key,
        ]


class Tenant(msgspec.Struct):
    """A user with five sessions, further ones for the attack on caches, and an API key.

    `keys`: of the main session, a fork of it, an import, a conversation, and one aside. `sends_no_key`: the
    API key has the main session as its default. `resources`: what its sessions have now; `deleted`: what they
    had before they were deleted once, None where they were not.
    """

    number: int
    keys: tuple[str, ...]
    token: str
    name: str
    is_admin: bool
    sends_no_key: bool
    resources: Resources
    deleted: Resources | None = None

    @property
    def key(self) -> str:
        return self.keys[0]

    @property
    def cache_key_prefix(self) -> str:
        """What the keys of the sessions begin with that attack caches, and whose beginnings are guessed."""
        return f"{self.key}~cache:"

    def table(self) -> KeyTable:
        """Return the API key as a table of the settings."""
        return KeyTable(
            name=self.name,
            hash=hash_of(self.token),
            scopes=RIGHTS if self.is_admin else tuple(right for right in RIGHTS if right != "admin"),
            sessions=(
                *(exact_pattern(key) for key in self.keys),
                f"{exact_pattern(self.cache_key_prefix)}*",
            ),
            session_key=self.key if self.sends_no_key else None,
        )


def hash_of(token: str) -> str:
    """Return the hash by which the settings know an API key."""
    return f"sha256:{hashlib.sha256(token.encode()).hexdigest()}"


def exact_pattern(session_key: str) -> str:
    """Return the pattern that matches this session key and no other."""
    return session_key.replace("\\", "\\\\").replace("*", "\\*")


def make_tenants(count: int, canaries: Canaries, rng: random.Random) -> list[Tenant]:
    """Return `count` tenants; the first ones have the keys that are easiest to confuse."""
    tenants = []
    for number in range(count):
        if number < len(_CONFUSABLE_KEYS):
            key = _CONFUSABLE_KEYS[number]
        else:
            key = f"wx:dm:{canaries.create(number, 'key')}"
        tenants.append(
            Tenant(
                number=number,
                keys=(key, f"{key}~fork", f"{key}~import", f"{key}~conversation", f"{key}~aside"),
                token=f"nb-{rng.getrandbits(256):064x}",
                name=canaries.create(number, "keyname"),
                is_admin=number % 4 == 1,
                sends_no_key=number % 3 == 2,
                resources=Resources(key),
            )
        )
    return tenants


_LONG_NAME = 16


def fictitious(resources: Resources, rng: random.Random) -> Resources:
    """Return names that look like those of `resources`, of things that never existed."""

    def other(name: str) -> str:
        """Return a name of the same length; a longer one where it is too short for random digits."""
        return (name[:-8] if len(name) > _LONG_NAME else name) + f"{rng.getrandbits(32):08x}"

    # The same kind of key: another name in it for its user, so that it is another person's.
    before, colon, last = resources.session_key.rpartition(":")
    return Resources(
        session_key=f"{before}{colon}{other(last)}",
        turns=[other(name) for name in resources.turns],
        files=[other(name) for name in resources.files],
        responses=[other(name) for name in resources.responses],
        conversations=[other(name) for name in resources.conversations],
        items=[other(name) for name in resources.items],
        facts=[other(name) for name in resources.facts],
        approvals=[other(name) for name in resources.approvals],
        approval_rules=[other(name) for name in resources.approval_rules],
        messages=resources.messages,
        word=other(resources.word),
        idempotency_key=other(resources.idempotency_key),
    )
