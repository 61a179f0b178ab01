"""What earlier messages and facts say about a new one: those that the model does not see, for the end of its
prompt.
"""

import logging
from collections.abc import Callable
from typing import Protocol

from nanobot.context.profile import NO_PROFILE, Profile, fact_line
from nanobot.context.recalled import recalled_lines
from nanobot.core.errors import StoreError
from nanobot.core.memory import MemoryFact
from nanobot.core.message import ContextView
from nanobot.core.model import Model
from nanobot.core.recall import MessageSearch, OtherSessions, Passage, Reach
from nanobot.core.speakers import said_by
from nanobot.core.turn import Turn

_MOST_LINES = 8
_LONGEST_CHARACTERS = 400
_BUDGET_SHARE = 16
"""What is recalled takes at most this part of what the window leaves for the conversation."""
_log = logging.getLogger(__name__)


class SearchableMemory(MessageSearch, Protocol):
    """Earlier messages, and facts."""

    async def search_facts(
        self, session_key: str, text: str, *, limit: int, is_asked: bool = True
    ) -> tuple[MemoryFact, ...]: ...


class Recaller:
    """Looks for earlier messages and facts, once a turn, where there are some that the model does not see.

    `tokens`: how much of the prompt they may take; 0: none is looked for. `others`: the further sessions that
    a turn may be told of. `has_own`: whether a model looks back by itself.
    """

    def __init__(
        self,
        messages: SearchableMemory,
        *,
        tokens: int,
        others: OtherSessions | None = None,
        has_own: Callable[[Model], bool] = lambda model: False,
    ) -> None:
        self._messages = messages
        self._tokens = tokens
        self._others = others
        self._has_own = has_own

    def is_of_use(self, turn: Turn, model: Model) -> bool:
        """Return whether the model is told what is recalled."""
        return bool(self._tokens) and turn.trace and not self._has_own(model)

    def looks_aside(self, turn: Turn) -> bool:
        """Return whether there may be other sessions that the turn may be told of."""
        return self._others is not None and self._others.may_have(turn.session_key)

    async def recall(
        self,
        turn: Turn,
        context: ContextView | None,
        budget_tokens: int,
        profile: Profile = NO_PROFILE,
    ) -> str:
        """Return lines for the end of the prompt with what was said earlier about the turn's input; empty
        where nothing was. `context` is what the model sees of the conversation, None: all of it; `profile`
        what it is told of facts.
        """
        text = next((message.text for message in reversed(turn.input) if message.role == "user"), "")
        if not text.strip():
            return ""
        reach = [] if context is None else [Reach(turn.session_key, context.summarised + context.left_out)]
        try:
            if self._others is not None and self.looks_aside(turn):
                reach += [Reach(key) for key in await self._others.of(turn.session_key)]
            facts = await self._facts(turn, text, profile)
            passages: tuple[Passage, ...] = ()
            if reach:
                passages = await self._messages.search_messages(
                    text, reach, limit=_MOST_LINES, characters=_LONGEST_CHARACTERS, is_asked=False
                )
        except StoreError as error:
            # The turn does not depend on it.
            _log.warning("turn %s: what was said earlier cannot be searched: %s", turn.id, error.message)
            return ""
        most_tokens = min(self._tokens, budget_tokens // _BUDGET_SHARE)
        own_name = next((message.name for message in reversed(turn.input) if message.name), None)
        return recalled_lines(
            passages,
            most_tokens,
            [(fact.valid_from, fact_line(fact)) for fact in facts],
            who=said_by(passages, turn.session_key, own_name, self._others),
        )

    async def _facts(self, turn: Turn, text: str, profile: Profile) -> list[MemoryFact]:
        """Return the facts about the text that the profile leaves out."""
        if not profile.leaves_out:
            return []
        found = await self._messages.search_facts(
            turn.session_key, text, limit=_MOST_LINES + len(profile.shown), is_asked=False
        )
        return [fact for fact in found if fact.id not in profile.shown][:_MOST_LINES]
