"""Results of tools in the window: how much of each is shown."""

from collections.abc import Iterator, Sequence
from itertools import accumulate

import msgspec

from nanobot.context.files import divided
from nanobot.core.cut_result import LEAST_TOKENS, cut_result, result_tokens
from nanobot.core.dispatch import History
from nanobot.core.message import Message, ToolResult, estimate_tokens

_STEPS = 32
_A_STEP = 2
"""All results of one step have together as much room as so many results."""
_ROUND = 1.25
"""A result that is longer by less than that is shown whole."""


def result_budget(budget_tokens: int, share: float) -> int:
    """Return how many tokens of one result are shown where the history may have `budget_tokens`. Small
    changes of the budget do not change it.
    """
    step = max(1, budget_tokens // _STEPS)
    # A power of two, or the step would change with the budget.
    step = 1 << (step.bit_length() - 1)
    return max(LEAST_TOKENS, int(budget_tokens * share) // step * step)


def results_excess(messages: Sequence[Message], tokens: int) -> int:
    """Return how many tokens the results in `messages` have more than what is shown of them."""
    return sum(cost - share for _, cost, share in _too_long(messages, tokens))


def fit_results(
    history: History, tokens: int, *, can_read_on: bool, whole: Sequence[ToolResult] = ()
) -> tuple[History, bool]:
    """Return `history` with the beginning and the end alone of each result that is longer than `tokens`, and
    whether there is one; those that are among the `whole` ones stay as they are.

    The results of one step share the room of two.
    """
    messages = history.messages
    cut: dict[int, Message] = {}
    for index, _, share in _too_long(messages, tokens, whole):
        message = messages[index]
        parts = tuple(
            msgspec.structs.replace(part, content=cut_result(part, share, can_read_on=can_read_on))
            if isinstance(part, ToolResult)
            else part
            for part in message.parts
        )
        cut[index] = msgspec.structs.replace(message, parts=parts)
    if not cut:
        return history, False
    shown = tuple(cut.get(index, message) for index, message in enumerate(messages))
    ends = history.ends or tuple(accumulate(map(estimate_tokens, messages), initial=history.skipped_tokens))
    saved = 0
    shorter: list[int] = []
    for index, end in enumerate(ends[-len(messages) :]):
        if index in cut:
            saved += estimate_tokens(messages[index]) - estimate_tokens(cut[index])
        shorter.append(end - saved)
    return msgspec.structs.replace(history, messages=shown, ends=tuple(shorter)), True


def _too_long(
    messages: Sequence[Message], tokens: int, whole: Sequence[ToolResult] = ()
) -> Iterator[tuple[int, int, int]]:
    """Yield the place of each message with a result that is too long, what that costs, and its share."""
    step: list[tuple[int, int]] = []
    for index, message in enumerate(messages):
        if message.role == "assistant" and step:
            yield from _shared(step, tokens)
            step = []
        if message.role != "tool":
            continue
        results = message.tool_results
        # Each has a message of its own; those of clients may come with files.
        if len(results) == 1 and results[0] not in whole:
            step.append((index, result_tokens(results[0])))
    if step:
        yield from _shared(step, tokens)


def _shared(step: list[tuple[int, int]], tokens: int) -> Iterator[tuple[int, int, int]]:
    costs = tuple([cost for _, cost in step])
    if sum(costs) <= tokens:
        # As nearly all are.
        return
    shares: Sequence[int] = [min(cost, tokens) for cost in costs]
    if sum(shares) > _A_STEP * tokens:
        shares = divided(tuple(shares), _A_STEP * tokens)
    for (index, cost), share in zip(step, shares, strict=True):
        share = max(LEAST_TOKENS, share)
        if cost > _ROUND * share:
            yield index, cost, share
