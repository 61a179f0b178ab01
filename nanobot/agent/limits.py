"""The bounds of a turn, and the counts that are held against them."""

from collections.abc import Callable, Mapping

import msgspec

from nanobot.core.accounts import Price
from nanobot.core.event import ModelChosen, Passing
from nanobot.core.message import Part, PassedOver

Show = Callable[[Passing], None]
"""Shows a delta, or the choice of a model, to those who follow the turn."""


class AgentSettings(msgspec.Struct, frozen=True):
    """The bounds of a turn.

    `max_steps`: model calls that may lead to tool calls; after them the model answers without tools.
    `max_turn_tokens`, `max_turn_cost` (dollars) and `max_turn_s` end them, too; 0: they do not. `prices`:
    what models cost by their names, as far as that is known.
    `window_tokens`: the most that prompt and answer may have together, whatever the model could take.
    `tools_tokens`: how much of the prompt the server's tools may take before those that are deferrable are.
    `result_share`: which part of the history's budget one result of a tool may have.
    `max_continuations`: how often an answer that a provider's limit cut off is continued.
    `profile_tokens`: how much of the prompt what is remembered may take.
    `max_malformed_steps`: steps in a row all of whose calls are malformed, or that have too many.
    `max_calls_per_step`: how many calls of one message are run; the others are answered with an error.

    The others bound how often a model is asked again for one message: `max_empty` after an empty one,
    `max_broken` after one that broke off before anybody received any of it, `max_overflows` with less
    history, `max_repairs` after one in the wrong form, `max_lost_abilities` after it turned out to lack an
    ability.
    """

    max_steps: int = 50
    max_turn_tokens: int = 0
    max_turn_cost: float = 0.0
    max_turn_s: float = 0.0
    prices: Mapping[str, Price] = {}
    window_tokens: int = 32_000
    tools_tokens: int = 1_500
    result_share: float = 0.25
    max_continuations: int = 2
    max_malformed_steps: int = 3
    max_calls_per_step: int = 64
    profile_tokens: int = 300
    max_empty: int = 2
    max_broken: int = 2
    max_overflows: int = 3
    max_repairs: int = 1
    max_lost_abilities: int = 1


class Retries(msgspec.Struct):
    """How often a model was asked again for one message, by reason, and what it is told with the next
    request.

    Each `count_` method counts one more failure and returns whether the model may be asked again.

    `nudge` and `draft` are as `context.build.build` takes them. `shown`: parts of unusable answers that
    followers have seen already; they belong in front of the answer, or the stored turn would not match the
    streamed one. `chosen`: the choice of a model that they have seen. `passed_over`: models that are not
    to be asked again while there are others.
    """

    limits: AgentSettings
    empty: int = 0
    broken: int = 0
    overflows: int = 0
    repairs: int = 0
    lost_abilities: int = 0
    nudge: str = ""
    draft: str = ""
    shown: tuple[Part, ...] = ()
    chosen: ModelChosen | None = None
    passed_over: tuple[PassedOver, ...] = ()

    def count_empty(self, nudge: str, shown: tuple[Part, ...]) -> bool:
        self.empty += 1
        self.nudge, self.draft = nudge, ""
        self.shown += shown
        return self.empty <= self.limits.max_empty

    def tell(self, chosen: ModelChosen, show: Show) -> None:
        """Show which model answers, once for the message."""
        if self.chosen is None:
            self.chosen = chosen
            show(chosen)

    def count_broken(self) -> bool:
        self.broken += 1
        return self.broken <= self.limits.max_broken

    def count_overflow(self) -> bool:
        self.overflows += 1
        return self.overflows <= self.limits.max_overflows

    def count_repair(self, nudge: str, draft: str) -> bool:
        self.repairs += 1
        self.nudge, self.draft = nudge, draft
        return self.repairs <= self.limits.max_repairs

    def count_lost_ability(self) -> bool:
        self.lost_abilities += 1
        return self.lost_abilities <= self.limits.max_lost_abilities
