"""What earlier messages say about a new one: those that the model does not see, for the end of its prompt."""

import logging
from collections.abc import Callable

from nanobot.context.recalled import recalled_lines
from nanobot.core.errors import StoreError
from nanobot.core.message import ContextView
from nanobot.core.model import Model
from nanobot.core.recall import MessageSearch, OtherSessions, Reach
from nanobot.core.turn import Turn

_MOST_LINES = 8
_LONGEST_CHARACTERS = 400
_BUDGET_SHARE = 16
"""What is recalled takes at most this part of what the window leaves for the conversation."""
_log = logging.getLogger(__name__)


class Recaller:
    """Looks for earlier messages, once a turn, where there are some that the model does not see.

    `tokens`: how much of the prompt they may take; 0: none is looked for. `others`: the further sessions that
    a turn may be told of. `has_own`: whether a model looks back by itself.
    """

    def __init__(
        self,
        messages: MessageSearch,
        *,
        tokens: int,
        others: OtherSessions | None = None,
        has_own: Callable[[Model], bool] = lambda model: False,
    ) -> None:
        self._messages = messages
        self._tokens = tokens
        self._others = others
        self._has_own = has_own

    def is_of_use(self, turn: Turn, model: Model, context: ContextView | None) -> bool:
        """Return whether there may be something to recall; in most turns there is nothing."""
        if context is None and self._others is None:
            return False
        return bool(self._tokens) and turn.trace and not self._has_own(model)

    async def recall(self, turn: Turn, context: ContextView | None, budget_tokens: int) -> str:
        """Return lines for the end of the prompt with what was said earlier about the turn's input; empty
        where nothing was. `context` is what the model sees of the conversation, None: all of it.
        """
        text = next((message.text for message in reversed(turn.input) if message.role == "user"), "")
        if not text.strip():
            return ""
        reach = [] if context is None else [Reach(turn.session_key, context.summarised + context.left_out)]
        if self._others is not None:
            reach += [Reach(key) for key in await self._others(turn.session_key)]
        try:
            passages = await self._messages.search_messages(
                text, reach, limit=_MOST_LINES, characters=_LONGEST_CHARACTERS, is_asked=False
            )
        except StoreError as error:
            # The turn does not depend on it.
            _log.warning("turn %s: earlier messages cannot be searched: %s", turn.id, error.message)
            return ""
        return recalled_lines(passages, min(self._tokens, budget_tokens // _BUDGET_SHARE))
