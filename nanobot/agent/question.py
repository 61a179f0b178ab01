"""What a person is asked before a call runs, and what the model is told of calls that do not run."""

import json
import re
import time
from collections.abc import Sequence
from typing import Any

from nanobot.core.approvals import MAX_ARGUMENTS_CHARS
from nanobot.core.message import AskedCall, Message, Text
from nanobot.core.unseen import escaped, without_unseen

_DEEPEST = 32
"""Each level is shown further to the right: of more, nobody reads anything."""
WAITING = "Not run yet: the user has been asked whether this call may run. Wait for the answer."
NOT_ASKED = (
    "Error: not run: the server stopped before the user was asked. Make the call again if it is needed."
)
REFUSED = "Error: not run: the user refused this call. Do not make it again unless the user asks for it."
EXPIRED = (
    "Error: not run: nobody agreed to this call in time. If it is still wanted, make it again: the user is"
    " asked anew."
)


def canonical_arguments(arguments: str) -> str:
    """Return the arguments of a call, a JSON object, in the one form in which they are shown, kept and run.

    Raises:
        ValueError: they are not a JSON object, or too long or too deep to be asked for.
    """
    read = json.loads(arguments.strip() or "{}")
    if not isinstance(read, dict):
        raise ValueError("the arguments are no JSON object")
    text = _encoded(read)
    if len(text) > MAX_ARGUMENTS_CHARS:
        raise ValueError(
            f"the arguments have {len(text)} characters, and a person is asked about at most"
            f" {MAX_ARGUMENTS_CHARS}: do it in smaller steps"
        )
    if _is_deeper(read, _DEEPEST):
        raise ValueError(
            f"the arguments are nested more than {_DEEPEST} levels deep: a person could not read them"
        )
    return text


def _is_deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inside = value.values() if isinstance(value, dict) else value
    return not levels or any(_is_deeper(each, levels - 1) for each in inside)


def _encoded(value: Any) -> str:
    """Return the value as JSON. Infinity and the like are a ValueError: no provider takes them back."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        # Half of a surrogate pair.
        return json.dumps(value, allow_nan=False)
    return text


def question(asks: Sequence[AskedCall]) -> Message:
    """Return the message that asks whether the calls may run: each with all of its arguments."""
    many = len(asks) > 1
    heading = f"May I make these {len(asks)} calls?" if many else "May I make this call?"
    calls = "\n\n".join(f"**{asked.tool}**\n{shown_arguments(asked.arguments)}" for asked in asks)
    tools = ", ".join(sorted({asked.tool for asked in asks}))
    until = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(min(asked.expires_at for asked in asks)))
    ids = ", ".join(asked.id for asked in asks)
    run = f'"yes" to run {"them" if many else "it"} once'
    # A participant may agree to what was asked for them, not to what others ask for.
    if all(asked.asker is None for asked in asks):
        run += f', "always" to let me use {tools} in this conversation without asking'
    text = (
        f'{heading}\n\n{calls}\n\nAnswer {run}, or "no". Without a clear yes nothing is run; the question'
        f" stands until {until}. ({ids})"
    )
    return Message("assistant", (Text(text),), "stop", asks=tuple(asks))


def shown_arguments(arguments: str) -> str:
    """Return arguments as a block of code for people. Characters that could hide or reorder others are
    escaped.
    """
    shown = without_unseen(json.dumps(json.loads(arguments), ensure_ascii=False, indent=2), escaped)
    # Longer than any in the arguments, which must not end the block.
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}json\n{shown}\n{fence}"
