"""How questions of the agent, and of tools, are answered in the chat: by which keys, and until when."""

import time
from collections.abc import Mapping, Sequence

from nanobot.cli.chat_tools import title
from nanobot.core.message import AskedCall, ToolCall
from nanobot.core.tool_question import ToolQuestion

_YES_NO = {"y": "yes", "n": "no"}
_APPROVAL_KEYS = {**_YES_NO, "a": "always"}
FILL_IN = "f"
_ALWAYS = "a: always in this conversation   "


def answer_keys(asks: Sequence[AskedCall]) -> Mapping[str, str]:
    """Return what may be typed in place of words: no yes where the answer to a tool may be any text."""
    if not asks:
        return {}
    question = asks[0].question
    if question is None:
        return _APPROVAL_KEYS
    return _YES_NO if question.takes_yes or not question.fields else {"n": "no"}


def form_of(asks: Sequence[AskedCall]) -> ToolQuestion | None:
    """Return what a tool asks that can be filled in field by field; None where it is one thing, or none."""
    question = asks[0].question if asks else None
    return question if question is not None and len(question.fields) > 1 else None


def answer_help(asks: Sequence[AskedCall], now: float) -> str:
    """Return how what is asked is answered."""
    until = _clock_time(min(asked.expires_at for asked in asks), now)
    question = asks[0].question
    if question is not None:
        return f"{_question_help(question)}   (then Enter, until {until})"
    # What was asked for one participant of several can be agreed to once only.
    always = _ALWAYS if all(asked.asker is None for asked in asks) else ""
    return f"y: yes, this once   {always}n: no   (then Enter, until {until}; nothing else is a yes)"


def still_open(asks: Sequence[AskedCall], now: float) -> str:
    """Return what is told where the user leaves without an answer."""
    until = _clock_time(min(asked.expires_at for asked in asks), now)
    return f"the question stands until {until}, and is shown again when this conversation is continued"


def unanswered(asks: Sequence[AskedCall]) -> str:
    """Return what is told where what the user said has settled nothing of what was asked."""
    if asks[0].question is not None:
        return "that was no answer: the tool goes on waiting for one, see `nanobot approvals`"
    calls = [f"  {title(ToolCall(asked.call_id, asked.tool, asked.arguments))}" for asked in asks]
    return "\n".join(
        (
            "not run, as that was neither a yes nor a no:",
            *calls,
            "ask for it again, or decide with `nanobot approvals`",
        )
    )


def _question_help(question: ToolQuestion) -> str:
    all_of_it = f"{FILL_IN}: fill in all of it   " if len(question.fields) > 1 else ""
    if question.takes_yes:
        return f"y: yes   n: no   {all_of_it}".rstrip()
    if question.field is not None:
        return f"your next line is the answer   {all_of_it}n: no answer"
    # No line of words can fill in a form.
    return f"{FILL_IN}: fill it in   n: no answer"


def _clock_time(moment: float, now: float) -> str:
    """Return a moment by the clock of this machine, with its date unless that is today's."""
    then, today = time.localtime(moment), time.localtime(now)
    return time.strftime("%H:%M" if then[:3] == today[:3] else "%Y-%m-%d %H:%M", then)
