"""Short texts that are searched without an index: facts, lines of summaries."""

from functools import lru_cache

from nanobot.stores.sql import tokens
from nanobot.stores.sql.terms import Term


def phrases(term: Term) -> list[str]:
    """Return what stands in `searchable` of each text that has the term: any of these."""
    return [f" {' '.join(each.tokens)}{'' if each.is_open else ' '}" for each in term.phrases]


@lru_cache(maxsize=8_192)
def searchable(text: str) -> str:
    """Return the tokens of a text, with a space before and behind each."""
    return f" {tokens.indexed(text)} "


@lru_cache(maxsize=4_096)
def folded(text: str) -> str:
    """Return the text in the form in which words are compared, as `tokens.folded` does: each new fact is
    compared with all others of its owner.
    """
    return tokens.folded(text)
