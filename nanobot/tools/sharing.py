"""The tool by which the model lets groups be told a fact of the person: only once the person has agreed."""

import unicodedata
from collections.abc import Callable
from typing import Annotated

import msgspec

from nanobot.core.clock import Clock
from nanobot.core.errors import ToolError
from nanobot.core.fact_words import one_line
from nanobot.core.ids import Randomness
from nanobot.core.memory import FactChange, Memory, MemoryFact, NewFact
from nanobot.core.scopes import Scopes
from nanobot.core.tool import Tool, ToolContext
from nanobot.tools.memory import SHARE_FACT, new_fact_id, refusals_for_the_model

_MOST_LOOKED_AT = 50
_LONGEST_NAME = 40


class ShareFactArguments(msgspec.Struct, frozen=True):
    fact: Annotated[str, msgspec.Meta(description="its words, exactly as remembered")]
    group: Annotated[
        str | None, msgspec.Meta(description="tell only this group, e.g. wx:g1; omit: all the user speaks in")
    ] = None
    name: Annotated[str | None, msgspec.Meta(description="with group: how the group knows the user")] = None


def share_fact(
    memory: Memory, clock: Clock, randomness: Randomness, scopes_of: Callable[[str], Scopes]
) -> Tool:
    """Return the tool that lets groups be told what was said in private. Each call is asked about, unless a
    policy says otherwise: what is shared is what the person has read in the question.
    """

    def may_be_in_groups(session_key: str) -> bool:
        """Return whether it is a private chat of somebody whose keys may name groups, too."""
        scopes = scopes_of(session_key)
        return scopes.group is None and session_key != scopes.person and not scopes.person.startswith("key:")

    async def run(arguments: ShareFactArguments, context: ToolContext) -> str:
        if scopes_of(context.session_key).group is not None:
            raise ToolError("facts are shared from a private chat with the user")
        with refusals_for_the_model():
            fact = await _meant(memory, context.session_key, arguments.fact)
            if arguments.group is None:
                await memory.change_fact(context.session_key, fact.id, FactChange(is_public=True))
                return f"Groups in which the user speaks may be told from now on: {fact.text}"
            name = one_line(arguments.name or "", _LONGEST_NAME)
            if not name:
                raise ToolError(
                    "say in `name` how the group knows the user, or nobody there knows whom it is about"
                )
            new = NewFact(
                id=new_fact_id(clock.now(), randomness),
                text=fact.text,
                origin=fact.origin,
                # With the id: what is given as the name may be somebody else's there.
                subject=fact.subject or f"{name} ({scopes_of(context.session_key).person})",
                confidence=fact.confidence,
                turn_id=context.turn_id,
                told_to=arguments.group,
            )
            told = await memory.remember(context.session_key, new)
        return f"The group {told.owner} knows now: {told.subject}: {told.text}"

    return Tool(
        SHARE_FACT,
        "Let groups be told a remembered fact, if the user asks for it.",
        ShareFactArguments,
        run,
        repeatable=True,
        demanding=True,
        lasting=True,
        brings=None,
        deferrable=True,
        of_session=True,
        group="memory",
        by_default="ask",
        is_of_use=may_be_in_groups,
    )


async def _meant(memory: Memory, session_key: str, words: str) -> MemoryFact:
    """Return the fact with these words: all of them, since a person agrees to what they have read.

    Raises:
        ToolError: there is none.
    """
    found = await memory.search_facts(session_key, words, limit=_MOST_LOOKED_AT)
    fact = next((fact for fact in found if _plain(fact.text) == _plain(words)), None)
    if fact is None:
        nearest = f"; did you mean {found[0].text!r}?" if found else ""
        raise ToolError(
            f"no fact says {words[:80]!r}: give all of its words, as they are remembered{nearest}"
        )
    return fact


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
