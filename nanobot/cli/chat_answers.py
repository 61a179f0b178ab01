"""How questions of the agent, and of tools, are answered in the chat: by which keys, and until when."""

import time
from collections.abc import Mapping, Sequence

from nanobot.cli.chat_files import shown_path
from nanobot.cli.chat_tools import title
from nanobot.core.message import AskedCall, ToolCall
from nanobot.core.tool_question import ToolQuestion

_YES_NO = {"y": "yes", "n": "no"}
_APPROVAL_KEYS = {**_YES_NO, "a": "always"}
_ALWAYS = "a: always in this conversation   "


def answer_keys(asks: Sequence[AskedCall]) -> Mapping[str, str]:
    """Return what may be typed in place of words: no yes where the answer to a tool may be any text."""
    if not asks:
        return {}
    question = asks[0].question
    if question is None:
        return _APPROVAL_KEYS
    return _YES_NO if question.takes_yes or not question.fields else {"n": "no"}


def answer_help(asks: Sequence[AskedCall], now: float) -> str:
    """Return how what is asked is answered."""
    until = _clock_time(min(asked.expires_at for asked in asks), now)
    question = asks[0].question
    if question is not None:
        return f"{_question_help(asks[0].id, question)}   (then Enter, until {until})"
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


def _question_help(id_: str, question: ToolQuestion) -> str:
    if question.takes_yes:
        return "y: yes   n: no"
    if question.field is not None:
        return "your next line is the answer   n: no answer"
    # No line of words can fill in a form.
    fields = " ".join(f"{shown_path(field.name)}=…" for field in question.fields)
    return f"`nanobot approvals answer {id_} {fields}` in another terminal, then any line here   n: no answer"


def _clock_time(moment: float, now: float) -> str:
    """Return a moment by the clock of this machine, with its date unless that is today's."""
    then, today = time.localtime(moment), time.localtime(now)
    return time.strftime("%H:%M" if then[:3] == today[:3] else "%Y-%m-%d %H:%M", then)
