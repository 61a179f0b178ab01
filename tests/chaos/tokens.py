"""Tokens: what the writers of a chaos run append, each unique, each telling whose it is and what the model is
to do with it.
"""

import re

import msgspec

PATTERN = re.compile(r"\bk(\d+)w(\d+)n(\d+)([ptor])\b")
MARKS = {
    "p": "plain",
    "t": "a tool that only knows",
    "o": "a tool that must run once",
    "r": "a tool that may run again",
}


class Token(msgspec.Struct, frozen=True, order=True):
    """The `number`-th word of writer `writer` on key `key`;

    `mark` says which tool the model calls before it answers.
    """

    key: int
    writer: int
    number: int
    mark: str

    def __str__(self) -> str:
        return f"k{self.key}w{self.writer}n{self.number}{self.mark}"


def tokens_in(text: str) -> list[Token]:
    """Return the tokens that `text` holds, in order."""
    return [
        Token(int(key), int(writer), int(number), mark) for key, writer, number, mark in PATTERN.findall(text)
    ]


def key_name(key: int) -> str:
    """Return the session key that stands for number `key`."""
    return f"chaos:dm:{key}"
