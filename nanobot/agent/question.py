"""What a person is asked before a call runs, and what the model is told of calls that do not run."""

import json
import re
import time
from collections.abc import Sequence
from typing import Any

from nanobot.core.approvals import MAX_ARGUMENTS_CHARS, Approval
from nanobot.core.message import AskedCall, Message, Text
from nanobot.core.tool_question import QuestionField, ToolQuestion, wanted
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


CHANGED_BY = "nanobot: the tool has changed"
"""Who refuses a call of a tool that is not the one any more that people were asked about."""
_CHANGED = (
    "Error: not run: what the server says of this tool has changed since the user was asked. Make the call"
    " again if it is still wanted: the user is asked anew."
)
_UNANSWERED = (
    "Error: not finished: the user does not answer the question that the tool asks. Do not make the call"
    " again unless the user asks for it."
)
_UNANSWERED_IN_TIME = (
    "Error: not finished: nobody answered the question that the tool asks in time. If the call is still"
    " wanted, make it again: the tool asks anew."
)
ASKED_BACK = (
    "Not finished yet: the tool asks the user something before it goes on, and the user has been asked. Wait"
    " for the answer: the call then goes on by itself."
)
NOBODY_TO_ASK = "There is nobody to ask in this step, so that the call did not go on."
OTHER_ASKED = (
    "Error: not finished: the user is asked something else first. Make this call again after that if it is"
    " still needed."
)


def why_not_run(approval: Approval) -> str:
    """Return what the model is told of a call that nobody has agreed to."""
    if approval.decided_by == CHANGED_BY:
        return _CHANGED
    if approval.question is not None:
        return _UNANSWERED if approval.state == "denied" else _UNANSWERED_IN_TIME
    return REFUSED if approval.state == "denied" else EXPIRED


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
    if asks[0].question is not None:
        return _tool_question(asks[0], asks[0].question)
    many = len(asks) > 1
    heading = f"May I make these {len(asks)} calls?" if many else "May I make this call?"
    calls = "\n\n".join(f"**{asked.tool}**\n{shown_arguments(asked.arguments)}" for asked in asks)
    text = f"{heading}\n\n{calls}\n\n{how_to_answer(asks)}"
    return Message("assistant", (Text(text),), "stop", asks=tuple(asks))


def how_to_answer(asks: Sequence[AskedCall]) -> str:
    """Return the paragraph that a question whether calls may run ends with."""
    tools = ", ".join(sorted({asked.tool for asked in asks}))
    until = _until(min(asked.expires_at for asked in asks))
    ids = ", ".join(asked.id for asked in asks)
    run = f'"yes" to run {"them" if len(asks) > 1 else "it"} once'
    # A participant may agree to what was asked for them, not to what others ask for.
    if all(asked.asker is None for asked in asks):
        run += f', "always" to let me use {tools} in this conversation without asking'
    return (
        f'Answer {run}, or "no". Without a clear yes nothing is run; the question stands until {until}.'
        f" ({ids})"
    )


def _until(expires_at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(expires_at))


# What tools ask -----------------------------------------------------------------------------------


def _tool_question(asked: AskedCall, asks: ToolQuestion) -> Message:
    """Return the message that asks what a tool asks: its words stand in a block of code, so that they are no
    words of the agent, nor pictures or links.
    """
    pieces = [
        f"{asks.who[:1].upper()}{asks.who[1:]} asks you something before **{asked.tool}** goes on. In its"
        " words:",
        _block(asks.text),
    ]
    if asks.link is not None:
        pieces.append(f"It wants you to open this page yourself, and to come back then:\n{_block(asks.link)}")
    if asks.fields:
        pieces.append("It asks for:\n" + _block("\n".join(map(described_field, asks.fields))))
    if asks.note:
        pieces.append(
            "The call was made without your answer, and is made once more with it. So far it said:\n"
            + _block(asks.note)
        )
    pieces.append(
        f"{_how_to_answer(asks)} What you answer is sent to {asks.who}; never give it a password. The"
        f" question stands until {_until(asked.expires_at)}. ({asked.id})"
    )
    return Message("assistant", (Text("\n\n".join(pieces)),), "stop", asks=(asked,))


def described_field(field: QuestionField) -> str:
    """Return what a person is told of a field: its name, what it has to be, and what it is for."""
    title = f" ({field.title})" if field.title and field.title != field.name else ""
    optional = "" if field.is_required or field.default is not None else ", may be left out"
    about = f" - {field.description}" if field.description else ""
    named = "".join(f"\n    {each.value}: {each.title}" for each in field.choices if each.title)
    return f"{field.name}{title}: {wanted(field)}{optional}{about}{named}"


def _how_to_answer(asks: ToolQuestion) -> str:
    field = asks.field
    if asks.fields and field is None:
        return 'Answer with POST /v1/approvals/{id} or "nanobot approvals answer", or say "no".'
    if field is None:
        done = "once you have done so" if asks.link is not None else "if that is right"
        return f'Answer "yes" {done}, or "no".'
    if field.kind == "yes_no":
        return 'Answer "yes" or "no".'
    return f'Answer with {wanted(field)}, in one line and nothing else, or "no" to answer nothing.'


def _block(text: str) -> str:
    return _fenced(without_unseen(text, escaped), "text")


def shown_arguments(arguments: str) -> str:
    """Return arguments as blocks of code for people: texts of several lines as such, the rest as JSON.
    Characters that could hide or reorder others are escaped.
    """
    # Many servers ask nobody.
    from nanobot.core.readable import readable

    shown = readable(arguments)
    # A paragraph of its own, whatever stands above.
    blocks = [
        f"\n{label}\n{_fenced(text.lines, 'text')}"
        for label, text in zip(shown.labels, shown.texts, strict=True)
    ]
    return "\n".join((*([_fenced(shown.rest, "json")] if shown.rest else ()), *blocks))


def _fenced(shown: str, language: str) -> str:
    # Longer than any in the text, which must not end the block.
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{shown}\n{fence}"
