"""What a turn may use before its model must answer without further calls: steps, tokens, money, time."""

import logging
from collections.abc import Iterable

from nanobot.agent.limits import AgentSettings
from nanobot.core.accounts import Price
from nanobot.core.clock import Clock
from nanobot.core.message import Message, Usage
from nanobot.core.turn import Turn

_log = logging.getLogger(__name__)
_DOLLAR = 1_000_000


class TurnBudget:
    """Counts what one turn uses. `produced`: the messages that it added before a restart; the time counts
    from its last start.
    """

    def __init__(
        self, turn: Turn, limits: AgentSettings, clock: Clock, model: str, produced: Iterable[Message]
    ) -> None:
        self._turn = turn
        self._limits = limits
        self._clock = clock
        self._model = model
        self._ends_at = clock.now() + limits.max_turn_s
        self._has_told = False
        self._cost = 0
        self.usage = Usage()
        self.steps = 0
        for message in produced:
            if message.role == "assistant":
                self.steps += 1
                self.count(message)

    def count(self, answer: Message) -> None:
        """Count what an answer of a model used, whether it became a step or could not be used."""
        if answer.usage is None:
            return
        self.usage += answer.usage
        price: Price | None = self._limits.prices.get(answer.model or self._model)
        if price is not None:
            self._cost += price.cost(answer.usage)

    def used_up(self) -> str | None:
        """Return what is used up, in words for the model; None where there is some left of everything."""
        limits = self._limits
        tokens = self.usage.prompt_tokens + self.usage.completion_tokens
        if self.steps >= limits.max_steps:
            return f"all {limits.max_steps} steps of this turn"
        what = None
        if limits.max_turn_tokens and tokens >= limits.max_turn_tokens:
            what = f"the {limits.max_turn_tokens:,} tokens of this turn"
        elif limits.max_turn_cost and self._cost >= limits.max_turn_cost * _DOLLAR:
            what = f"the {limits.max_turn_cost:g} dollars of this turn"
        elif limits.max_turn_s and self._clock.now() >= self._ends_at:
            what = f"the {limits.max_turn_s:g} seconds of this turn"
        if what is not None and not self._has_told:
            self._has_told = True
            _log.info("turn %s has used up %s", self._turn.id, what)
        return what
