"""Front ends' requests beside a conversation (a title, tags): the task alone, and the form that it wants.

They have none of the examples that stand before conversations, and keep no slot: nobody goes on with them.
Where the task shows an object as JSON, the answer is an object with its members, and of its length.
"""

import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing

import msgspec

from nanobot.core.event import Delta
from nanobot.core.message import Message, Usage
from nanobot.core.model import ModelRequest
from nanobot.models.local.engine_chat import EngineChat, Prompt, limited
from nanobot.models.local.gbnf import literal
from nanobot.models.local.plain_text import plain
from nanobot.models.local.salt import salt_of, salted_system, without_luck

KIND = "side task"
_TASK = "Do what the message asks, and write nothing else."
_TEMPERATURE = 0.2
_MOST_TOKENS = 512
_MOST_TRIES, _MOST_MEMBERS = 16, 8
_VALUES = "\n".join(
    (
        r'text ::= "\"" char{1,240} "\""',
        r'char ::= [^"\\\x00-\x1F] | "\\" ["\\/n]',
        r'texts ::= "[" text (", " text){0,7} "]"',
        r'number ::= "-"? [0-9]{1,9} ("." [0-9]{1,6})?',
        r'truth ::= "true" | "false"',
    )
)


class SideTasks:
    """Answers side tasks. `split`: as of `OnePass`; what the server says to all sessions is left out."""

    def __init__(self, chat: EngineChat, split: Callable[[str], tuple[str, str]]) -> None:
        self._chat = chat
        self._split = split

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta | Message, None]:
        """Yield the answer, in the form of `core.model.Model`.

        Raises:
            ModelError: the engine cannot run here, or failed.
        """
        _, own = self._split(request.system)
        messages, _ = plain(request.messages, is_recall=False)
        sampling = limited(request.sampling, temperature=_TEMPERATURE)
        most_tokens = min(sampling.max_output_tokens or _MOST_TOKENS, _MOST_TOKENS)
        asked = msgspec.structs.replace(
            request,
            system=salted_system(f"{own}\n\n{_TASK}".strip("\n"), "", salt_of(request.session_hint)),
            messages=messages,
            tools=(),
            notes="",
            sampling=msgspec.structs.replace(sampling, max_output_tokens=most_tokens),
        )
        grammar = "" if request.format is not None else grammar_of(f"{own}\n{messages[-1].text}")
        prompt = Prompt(KIND, asked, grammar, is_single=True)
        async with aclosing(self._chat.ask(prompt)) as answer:
            async for piece in answer:
                if isinstance(piece, Message):
                    usage = without_luck(piece.usage or Usage(), 0)
                    yield msgspec.structs.replace(piece, usage=usage, model=self._chat.name)
                else:
                    yield piece


def grammar_of(task: str) -> str:
    """Return the grammar of an object like the first one that `task` shows as JSON; empty where there is
    none.
    """
    shown = _first_object(task)
    if shown is None:
        return ""
    members = [
        f"{literal(json.dumps(name, ensure_ascii=False) + ': ')} {_value_like(value)}"
        for name, value in list(shown.items())[:_MOST_MEMBERS]
    ]
    joined = ' ", " '.join(members)
    return f'root ::= "{{" {joined} "}}"\n{_VALUES}'


def _first_object(task: str) -> Mapping[str, object] | None:
    decoder, at = json.JSONDecoder(), -1
    for _ in range(_MOST_TRIES):
        at = task.find("{", at + 1)
        if at < 0:
            return None
        try:
            value, _ = decoder.raw_decode(task, at)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and value:
            return value
    return None


def _value_like(value: object) -> str:
    """Return the rule for values like the one that is shown."""
    if isinstance(value, bool):
        return "truth"
    if isinstance(value, int | float):
        return "number"
    return "texts" if isinstance(value, list) else "text"
