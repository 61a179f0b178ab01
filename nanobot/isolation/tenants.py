"""Tenants: who uses the house. Each has session keys and an API key that may see exactly these."""

import hashlib
import random
import unicodedata

import msgspec

from nanobot.config import KeyTable
from nanobot.core.accounts import RIGHTS
from nanobot.isolation.canaries import Canaries

_NASTY = (
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
    "wx:group:g:user:a",
    "wx:group:g:user:ab",
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
"""Session keys that are neighbours to something: to each other, to a pattern, to a path, to a query."""


class Aim(msgspec.Struct):
    """What a tenant has, as far as others could know the names of it."""

    session_key: str
    turns: list[str] = []
    files: list[str] = []
    responses: list[str] = []
    conversations: list[str] = []
    items: list[str] = []
    messages: tuple[str, ...] = ("msg_1", "msg_2")
    word: str = "nothing"
    idempotency_key: str = "nothing"

    def names(self) -> list[str]:
        """Return all names."""
        return [
            self.session_key,
            *self.turns,
            *self.files,
            *self.responses,
            *self.conversations,
            *self.items,
            self.word,
            self.idempotency_key,
        ]


class Tenant(msgspec.Struct):
    """Someone with sessions. `keys`: the main one, a fork of it, what was imported, a conversation, and one
    more. `sends_no_key`: its API key names its conversation.

    `past`: what it had before its session was deleted, where it was.
    """

    number: int
    keys: tuple[str, ...]
    token: str
    name: str
    is_admin: bool
    sends_no_key: bool
    aim: Aim
    past: Aim | None = None

    @property
    def key(self) -> str:
        return self.keys[0]

    def table(self) -> KeyTable:
        """Return its API key as the settings have it."""
        return KeyTable(
            name=self.name,
            hash=hash_of(self.token),
            scopes=RIGHTS if self.is_admin else tuple(right for right in RIGHTS if right != "admin"),
            sessions=tuple(exactly(key) for key in self.keys),
            session_key=self.key if self.sends_no_key else None,
        )


def hash_of(token: str) -> str:
    """Return what the settings keep of an API key."""
    return f"sha256:{hashlib.sha256(token.encode()).hexdigest()}"


def exactly(session_key: str) -> str:
    """Return the pattern that means this session key and no other."""
    return session_key.replace("\\", "\\\\").replace("*", "\\*")


def make_tenants(count: int, canaries: Canaries, chance: random.Random) -> list[Tenant]:
    """Return `count` tenants; the first ones have the keys that are hardest to tell apart."""
    made = []
    for number in range(count):
        key = _NASTY[number] if number < len(_NASTY) else f"wx:dm:{canaries.plant(number, 'key')}"
        made.append(
            Tenant(
                number=number,
                keys=(key, f"{key}~fork", f"{key}~import", f"{key}~conversation", f"{key}~aside"),
                token=f"nb-{chance.getrandbits(256):064x}",
                name=canaries.plant(number, "keyname"),
                is_admin=number % 4 == 1,
                sends_no_key=number % 3 == 2,
                aim=Aim(key),
            )
        )
    return made


_LONG = 16


def never(aim: Aim, chance: random.Random) -> Aim:
    """Return names like those of `aim`, of things that never were."""

    def other(text: str) -> str:
        """Return a text of the same length, or a longer one where it is short."""
        return (text[:-8] if len(text) > _LONG else text) + f"{chance.getrandbits(32):08x}"

    return Aim(
        session_key=other(aim.session_key),
        turns=[other(text) for text in aim.turns],
        files=[other(text) for text in aim.files],
        responses=[other(text) for text in aim.responses],
        conversations=[other(text) for text in aim.conversations],
        items=[other(text) for text in aim.items],
        messages=aim.messages,
        word=other(aim.word),
        idempotency_key=other(aim.idempotency_key),
    )
