"""How many tokens of a model an estimated one is: learned from what the provider counted.

An estimate is a quarter of the bytes, which says more of some scripts and tokenizers than of others. What is
learned of a model changes how much history it is shown, and so where the history is cut: it changes seldom,
and in steps, as each change costs the provider's cache of the prefix.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable

from nanobot.core.message import Audio, Image, Message, Usage, estimate_tokens
from nanobot.core.model import ModelRequest

LEAST, MOST = 0.75, 2.0
_STEP = 0.125
_CHANGES_BEYOND = 0.1
"""What is used is kept until what was learned is so far from it."""
_SAMPLES = 32
_FEWEST_SAMPLES = 8
_SEEN_OFTEN = 8
"""Once enough is known, so many answers are passed over between two that are learned from."""
_SHORTEST_TOKENS = 2_000
"""In a shorter request, what is no history counts too much."""
_BELIEVED = (0.3, 4.0)
"""A count further off than that is no count of this request."""
_FEWEST_COUNTED = _SHORTEST_TOKENS * _BELIEVED[0]
"""A request that was counted as less is too short, or its count is not believed."""
_MOST_MODELS = 1_000
_log = logging.getLogger(__name__)


class _Learned:
    """What is known of one model."""

    __slots__ = ("passed_over", "samples", "used")

    def __init__(self) -> None:
        self.samples: deque[float] = deque(maxlen=_SAMPLES)
        self.passed_over = 0
        self.used = 1.0


class TokenRatios:
    """What was learned of models, by their names, since the start."""

    def __init__(self) -> None:
        self._of: dict[str, _Learned] = {}

    def of(self, model: str) -> float:
        """Return how many tokens of the model an estimated one is taken for; 1 where nothing is known."""
        learned = self._of.get(model)
        return 1.0 if learned is None else learned.used

    def learn(
        self,
        model: str,
        request: ModelRequest,
        fixed_tokens: Callable[[ModelRequest], int],
        usage: Usage | None,
    ) -> None:
        """Take note of what the provider counted of a request; `fixed_tokens` says how much of it is no
        history.
        """
        if usage is None or not usage.prompt_tokens or usage.prompt_tokens < _FEWEST_COUNTED:
            # As most are: looking through their messages costs more than the whole rest of this.
            return
        learned = self._of.get(model)
        if learned is not None and len(learned.samples) >= _FEWEST_SAMPLES:
            learned.passed_over += 1
            if learned.passed_over % _SEEN_OFTEN:
                return
        estimated = _estimated(request.messages)
        if estimated < _SHORTEST_TOKENS or estimated < 2 * (fixed := fixed_tokens(request)):
            return
        ratio = (usage.prompt_tokens - fixed) / estimated
        if not _BELIEVED[0] <= ratio <= _BELIEVED[1]:
            return
        if learned is None:
            if len(self._of) >= _MOST_MODELS:
                return
            learned = self._of[model] = _Learned()
        learned.samples.append(ratio)
        _settle(model, learned)


def _estimated(messages: tuple[Message, ...]) -> int:
    """Return the estimate of the messages; 0 where there are pictures or recordings: theirs is a guess."""
    for message in messages:
        for part in message.parts:
            if isinstance(part, Image | Audio):
                return 0
    return sum(map(estimate_tokens, messages))


def _settle(model: str, learned: _Learned) -> None:
    if len(learned.samples) < _FEWEST_SAMPLES:
        return
    middle = min(max(_median(learned.samples), LEAST), MOST)
    if abs(middle - learned.used) > _CHANGES_BEYOND:
        learned.used = round(middle / _STEP) * _STEP
        _log.info("a token as estimated counts as %g tokens of %s from now on", learned.used, model)


def _median(samples: Iterable[float]) -> float:
    # That of the standard library loads fractions and decimal numbers at the start.
    ordered = sorted(samples)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
