"""Files in the window: how much of each is shown, and what is said where one was cut."""

from collections.abc import Sequence
from itertools import accumulate

import msgspec

from nanobot.core.cut_file import LEAST_TOKENS, cut_file, file_tokens, with_note
from nanobot.core.dispatch import History
from nanobot.core.message import File, Message, estimate_tokens

_STEPS = 32
_NOTE_TOKENS = 40


def files_budget(budget_tokens: int) -> int:
    """Return how many tokens all files may have where the history may have `budget_tokens`: five eighths.

    What is left is for what was said, and for results of tools. Small changes of the budget, as instructions
    of another length bring them, do not change it.
    """
    step = max(1, budget_tokens // _STEPS)
    # A power of two, or the step would change with the budget.
    step = 1 << (step.bit_length() - 1)
    return budget_tokens * 5 // 8 // step * step


def least_tokens(message: Message) -> int:
    """Return an estimate of the tokens that `message` costs with no more of its files than the beginning."""
    return estimate_tokens(message) - sum(
        max(0, file_tokens(part) - LEAST_TOKENS) for part in message.parts if isinstance(part, File)
    )


def has_files(messages: Sequence[Message]) -> bool:
    """Return whether there is a file among the parts of `messages`."""
    for message in messages:
        # Most messages are a single text.
        for part in message.parts:
            if type(part) is File:
                return True
    return False


def uncut_excess(messages: Sequence[Message], budget_tokens: int) -> int:
    """Return how many tokens the files of `messages` have more than the window will show of them."""
    if not has_files(messages):
        return 0
    costs = sum(file_tokens(part) for message in messages for part in message.parts if isinstance(part, File))
    return max(0, costs - files_budget(budget_tokens))


def fit_files(history: History, budget_tokens: int, *, can_read_on: bool) -> tuple[History, bool]:
    """Return `history` with files cut to what the window has for them, and whether one of them goes on.

    The files of the newest message that has some come first, then the others; among those of equal standing
    each gets what it needs, or as much as the others. Each that goes on has a note that says where, and how
    to read on where `can_read_on`.
    """
    messages = history.messages
    if not has_files(messages):
        return history, False
    shares = _shares(messages, files_budget(budget_tokens))
    is_cut = False
    whole = list(messages)
    ends = list(history.ends or accumulate(map(estimate_tokens, messages), initial=history.skipped_tokens))
    ends = ends[-len(messages) :]
    for index in sorted({index for index, _ in shares}):
        message = messages[index]
        parts = list(message.parts)
        for place, part in enumerate(message.parts):
            if isinstance(part, File):
                cut = cut_file(part, shares[index, place])
                is_cut = is_cut or cut.extent.cut is not None
                parts[place] = with_note(cut, can_read_on=can_read_on)
        whole[index] = msgspec.structs.replace(message, parts=tuple(parts))
        saved = estimate_tokens(message) - estimate_tokens(whole[index])
        if saved:
            ends[index:] = [end - saved for end in ends[index:]]
    return msgspec.structs.replace(history, messages=tuple(whole), ends=tuple(ends)), is_cut


def _shares(messages: tuple[Message, ...], tokens: int) -> dict[tuple[int, int], int]:
    """Return the tokens that each file gets, by the places of its message and its part."""
    needs = {
        (index, place): file_tokens(part)
        for index, message in enumerate(messages)
        for place, part in enumerate(message.parts)
        if isinstance(part, File)
    }
    newest = max(index for index, _ in needs)
    # What is said along with the files takes of the same room.
    said = estimate_tokens(messages[newest]) - sum(
        need for (index, _), need in needs.items() if index == newest
    )
    first = {at: need for at, need in needs.items() if at[0] == newest}
    shares = dict(
        zip(first, divided(tuple(first.values()), max(0, tokens - max(0, said - _NOTE_TOKENS))), strict=True)
    )
    rest = {at: need for at, need in needs.items() if at[0] != newest}
    left = max(0, tokens - sum(shares.values()))
    return shares | dict(zip(rest, divided(tuple(rest.values()), left), strict=True))


def divided(needs: Sequence[int], total: int) -> tuple[int, ...]:
    """Return shares of `total` by need: none is larger than its need, and none that falls short of its need
    is smaller than another.
    """
    shares = [0] * len(needs)
    open_ = len(needs)
    for place in sorted(range(len(needs)), key=needs.__getitem__):
        shares[place] = min(needs[place], total // open_)
        total -= shares[place]
        open_ -= 1
    return tuple(shares)
