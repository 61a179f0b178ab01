"""Which tools a message needs: a separate question to a model that is too small to call tools by itself.

The model sees the tools, some examples and the message, and may only write what the grammar allows: `none`,
`recall`, or calls with their arguments. Instructions and examples depend on the tools alone, so that the
engine reads them once.
"""

from collections.abc import Mapping

import msgspec

from nanobot.core.message import Message, Text, user
from nanobot.core.tool import ToolChoice, ToolSpec
from nanobot.models.local.gbnf import Rules, literal

ANY = ToolChoice()
MAX_CALLS = 3
MAX_ROUTE_TOKENS = 256
_MESSAGE_CHARS = 1_200
_BEFORE_CHARS = 240
_DEEPEST = 4

_TASK = (
    "Name what is needed to answer the user's message: none, recall, or tools with their arguments as JSON."
)
_ALWAYS = (
    "none: nothing. To talk, explain, know, translate, write, code. Most messages.",
    "recall: the user asks which question or message of theirs came before, or for a summary of this chat.",
)
# Questions and answers; one with calls is shown where the request has all of its tools. The order matters:
# neighbours must differ, or the model repeats the last answer.
_EXAMPLES: tuple[tuple[str, str], ...] = (
    ("hello", "none"),
    ("What time is it in Lima?", 'current_time {"timezone":"America/Lima"}'),
    ("Write a program that prints the time.", "none"),
    ("What did I say before?", "recall"),
    ("What did you answer?", "none"),
    ("What is nine times 14?", 'calculate {"expression":"9 * 14"}'),
    ("What is my name?", "none"),
    ("Which date is today?", 'current_time {"timezone":null}'),
    ("Remember the word lamp.", "none"),
    ("Sum up our chat.", "recall"),
    ("Repeat that in French.", "none"),
    ("20% of 50", 'calculate {"expression":"50 * 20 / 100"}'),
    ("How did I begin?", "recall"),
    ("How many hours are in a week?", "none"),
    ("Was habe ich eben gefragt?", "recall"),
    (
        "Time in Lagos and in Dubai?",
        'current_time {"timezone":"Africa/Lagos"}\ncurrent_time {"timezone":"Asia/Dubai"}',
    ),
)


class PlannedCall(msgspec.Struct, frozen=True):
    """A call that the model decided on: a tool's name, and its arguments as JSON text."""

    name: str
    arguments: str


class Decision(msgspec.Struct, frozen=True):
    """What a message needs: calls, what the user said before (`recall`), or (neither) just an answer."""

    calls: tuple[PlannedCall, ...] = ()
    recall: bool = False


def instructions(tools: tuple[ToolSpec, ...]) -> str:
    """Return the system prompt of the question."""
    return "\n".join([_TASK, "", *_ALWAYS, *(_described(tool) for tool in tools)])


def examples(tools: tuple[ToolSpec, ...]) -> tuple[Message, ...]:
    """Return the examples that come before the question, as a conversation."""
    names = {tool.name for tool in tools}
    shown: list[Message] = []
    for asked, answer in _EXAMPLES:
        if all(line in {"none", "recall"} or line.partition(" ")[0] in names for line in answer.splitlines()):
            shown += [user(asked), Message("assistant", (Text(answer),))]
    return tuple(shown)


def question(messages: tuple[Message, ...]) -> Message:
    """Return the message to route: the user's last one, below the exchange before it.

    Without the latter, `And in Paris?` could not be understood.
    """
    last = max((at for at, message in enumerate(messages) if message.role == "user"), default=None)
    if last is None:
        return user("")
    text = _cut(messages[last].text, _MESSAGE_CHARS)
    before = [message for message in messages[:last] if message.role != "tool" and message.text]
    if not before:
        return user(text)
    said = next((message.text for message in reversed(before) if message.role == "user"), "")
    answered = before[-1].text if before[-1].role == "assistant" else ""
    return user(
        f"(Before, the user said: {_cut(said, _BEFORE_CHARS)}\n"
        f"You answered: {_cut(answered, _BEFORE_CHARS)})\n{text}"
    )


def grammar(tools: tuple[ToolSpec, ...], *, choice: ToolChoice = ANY, max_calls: int = MAX_CALLS) -> str:
    """Return the grammar of the answer; where `choice` insists on a call, it is one."""
    rules = Rules()
    words = '"none" | "recall"'
    if not tools:
        return rules.text(words)
    allowed = [tool for tool in tools if choice.name in (None, tool.name)]
    calls = " | ".join(
        f"{literal(tool.name + ' ')} {rules.value(_as_object(tool.schema))}" for tool in allowed
    )
    call = rules.add(calls, "call")
    called = f'{call} ("\\n" {call}){{0,{max_calls - 1}}}' if max_calls > 1 else call
    return rules.text(called if choice.mode == "required" else f"{words} | {called}")


def read(answer: str, tools: tuple[ToolSpec, ...], *, max_calls: int = MAX_CALLS) -> Decision:
    """Return what the model decided. A call that was cut off is left out."""
    answer = answer.strip()
    if answer == "recall":
        return Decision(recall=True)
    names = {tool.name for tool in tools}
    calls: list[PlannedCall] = []
    for line in answer.splitlines():
        name, _, arguments = line.partition(" ")
        call = PlannedCall(name, arguments)
        if name in names and _is_json(arguments) and call not in calls:
            calls.append(call)
    return Decision(tuple(calls[:max_calls]))


def _described(tool: ToolSpec) -> str:
    properties = _properties(tool.schema)
    arguments = ", ".join(f"{name}: {_kind(schema)}" for name, schema in properties.items())
    remarks = [
        f"{name}: {text}"
        for name, schema in properties.items()
        if isinstance(text := schema.get("description"), str)
    ]
    return " ".join([f"{tool.name}({arguments}):", tool.description, *remarks])


def _kind(schema: Mapping[str, object], depth: int = 0) -> str:
    if depth >= _DEEPEST:
        return "any"
    if isinstance(options := schema.get("enum"), list):
        return " or ".join(msgspec.json.encode(option).decode() for option in options)
    if isinstance(branches := schema.get("anyOf"), list):
        return " or ".join(_kind(branch, depth + 1) for branch in branches if isinstance(branch, Mapping))
    kind = schema.get("type", "any")
    return " or ".join(map(str, kind)) if isinstance(kind, list) else str(kind)


def _properties(schema: Mapping[str, object]) -> dict[str, Mapping[str, object]]:
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return {}
    return {str(name): inner for name, inner in properties.items() if isinstance(inner, Mapping)}


def _as_object(schema: Mapping[str, object]) -> Mapping[str, object]:
    return schema if schema.get("type") == "object" else {"type": "object", **schema}


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _cut(text: str, max_chars: int) -> str:
    """Return `text`, or the beginning and the end of a long one: the question is in one of them."""
    text = text.strip()
    if len(text) <= max_chars:
        return text
    half = max_chars // 2
    return f"{text[:half]} … {text[-half:]}"
