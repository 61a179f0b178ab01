"""How a small model writes calls of the server's tools, and reads their results: in its own text.

    [calculate 17 * 23]
    (17 * 23 = 391)

Earlier calls are shown to it in the same words, so that a conversation only ever grows at its end.
"""

import json
import re
from collections.abc import Iterable, Sequence

import msgspec

from nanobot.core.message import ToolCall, ToolResult
from nanobot.models.local.days import DayAsked, date_of
from nanobot.models.local.gbnf import literal, unlike, without_words

CURRENT_TIME = "current_time"
CALCULATE = "calculate"
RECALL = "[recall]"
NAMES = frozenset({CURRENT_TIME, CALCULATE})
"""The tools that can be written in this notation."""
REMEMBER, FORGET, RECALL_FACTS = "remember", "forget", "recall"
NOTING = frozenset({REMEMBER, FORGET, RECALL_FACTS})
"""The tools that are called without the model (`notes.py`)."""
MAX_CALLS = 3
_DECIMAL = re.compile(r"-?\d{1,15}\.\d{1,30}")
_MOST_DECIMALS = 4

_CALL = re.compile(r"\[(current_time|calculate)(?: ([^\[\]\n]+))?\]")
CALL_BEGINS = re.compile(r"\[(?:current_time\b|calculate )")
"""How a call of a tool begins, wherever it stands."""
LONGEST_CALL_BEGINNING = len("[current_time")
_OFFSET = re.compile(r" \(UTC[+-]\d{4}\)\Z")
_FUNCTIONS = (
    "abs", "round", "min", "max", "floor", "ceil", "sqrt", "exp", "log", "log2", "log10", "sin", "cos",
    "tan", "asin", "acos", "atan", "degrees", "radians", "hypot", "gcd", "lcm", "factorial",
)  # fmt: skip
_TEXT = r"[^\[ \t\r\n] rest"
_REST = r"rest ::= [^\x00]*"
_TIME = '"[current_time" (" " zone)? "]"'
_ZONE = 'zone ::= [A-Z] [A-Za-z_]{1,20} ("/" [A-Z] [A-Za-z_+-]{1,30}){0,2}'
TIME_GRAMMAR = 'root ::= "[current_time]"'
"""The grammar of a call that asks for the time here: with a zone allowed, a model copies `Zone/City`."""
ZONE_GRAMMAR = f'root ::= "[current_time " zone "]"\n{_ZONE}'
"""The grammar of a call that asks for the time in another place."""
_CALCULATION = "\n".join(
    (
        # One operator at least, or a function: a lone number needs no working out.
        r"sum ::= operand (sign operand)+ | function",
        r"any ::= operand (sign operand)*",
        r'operand ::= "-"? (number | "(" any ")" | function | "pi")',
        r'function ::= name "(" any ("," " "? any){0,7} ")"',
        f"name ::= {' | '.join(map(literal, _FUNCTIONS))}",
        r'sign ::= " "? ("+" | "-" | "*" | "**" | "/" | "//" | "%") " "?',
        r'number ::= [0-9]{1,30} ("." [0-9]{1,15})?',
    )
)


class WrittenCall(msgspec.Struct, frozen=True):
    """A call as the model wrote it: a tool's name, and its arguments as JSON text."""

    name: str
    arguments: str


def answer_grammar(names: Iterable[str], *, may_recall: bool, not_first: Sequence[str] = ()) -> str:
    """Return the grammar of an answer: calls of the tools `names`, or text, which begins with no bracket and
    with none of `not_first`.
    """
    calls = []
    rules = []
    if CURRENT_TIME in names:
        calls.append(_TIME)
        rules.append(_ZONE)
    if CALCULATE in names:
        calls.append('"[calculate " sum "]"')
        rules.append(_CALCULATION)
    ways = [f'call ("\\n" call){{0,{MAX_CALLS - 1}}}'] if calls else []
    if may_recall:
        ways.append(literal(RECALL))
    if calls:
        rules.append(f"call ::= {' | '.join(calls)}")
    text = unlike(not_first, r"\[ \t\r\n") if not_first else _TEXT
    return "\n".join([f"root ::= {' | '.join([*ways, 'text'])}", *rules, f"text ::= {text}", _REST])


def text_grammar(not_first: Sequence[str] = ()) -> str:
    """Return the grammar of an answer in words alone, which begins with none of `not_first`."""
    return answer_grammar((), may_recall=False, not_first=not_first)


def opened_grammar(openings: Sequence[str], never: Sequence[str] = ()) -> str:
    """Return the grammar of an answer in words that begins with one of `openings`; none of its words begins
    as `never` says (`gbnf.without_words`).
    """
    rest = without_words(never) if never else _REST
    return f"root ::= ({' | '.join(map(literal, openings))}) rest\n{rest}"


def result_grammar(openings: Sequence[str]) -> str:
    """Return the grammar of an answer in words that begins with one of `openings` and a number."""
    return f'root ::= ({" | ".join(map(literal, openings))}) "-"? [0-9] rest\n{_REST}'


def whole_grammar(answer: str) -> str:
    """Return the grammar of one answer."""
    return f"root ::= {literal(answer)}"


def calculation_grammar(expression: str) -> str:
    """Return the grammar of a call that works out `expression`."""
    return f"root ::= {literal(f'[{CALCULATE} {expression}]')}"


def read(text: str) -> tuple[WrittenCall, ...]:
    """Return the calls that `text` consists of, each once; none where it is something else."""
    calls: list[WrittenCall] = []
    for line in text.strip().splitlines():
        match = _CALL.fullmatch(line.strip())
        if match is None:
            return ()
        call = _written(match[1], match[2])
        if call is not None and call not in calls:
            calls.append(call)
    return tuple(calls)


def _written(name: str, argument: str | None) -> WrittenCall | None:
    if name == CURRENT_TIME:
        return WrittenCall(name, _encoded({"timezone": argument} if argument else {}))
    return WrittenCall(name, _encoded({"expression": argument})) if argument else None


def _encoded(arguments: dict[str, str]) -> str:
    return msgspec.json.encode(arguments).decode()


def written(call: ToolCall) -> str:
    """Return the call in the words in which a model writes it."""
    argument = _argument(call)
    return f"[{call.name} {argument}]" if argument else f"[{call.name}]"


def result_of(call: ToolCall | None, result: ToolResult, day: DayAsked | None = None) -> str:
    """Return what came of the call, worded so that a small model takes it for its own knowledge.

    `day`: the one that was asked for.
    """
    content = result.content.strip()
    if call is None:
        return f"({content})"
    argument = _argument(call)
    if result.is_error:
        return f"({argument or call.name}: {content})"
    if call.name == CURRENT_TIME:
        if day is not None and (found := date_of(day, content)) is not None:
            told = f"{day.words} = {found:%A}, {found}"
            # With another day beside it, the model takes that one.
            return f"(In {argument}: {told})" if argument else f"({told})"
        # The zone's own name says as much.
        now = _OFFSET.sub("", content)
        return f"(In {argument} it is {now})" if argument else f"(It is {now}{_next_day(content)})"
    if call.name == CALCULATE:
        return f"({argument} = {_rounded(content)})"
    return f"({call.name}: {content})"


def _rounded(number: str) -> str:
    """Return a result without more decimals than anybody wants to read."""
    if len(number.partition(".")[2]) <= _MOST_DECIMALS or not _DECIMAL.fullmatch(number):
        return number
    value = float(number)
    return f"{value:.{_MOST_DECIMALS}f}".rstrip("0").rstrip(".") if abs(value) >= 1 else f"{value:.4g}"


def _next_day(content: str) -> str:
    """Return what day comes after the one in a result of `current_time`: the model does not know it."""
    tomorrow = date_of(DayAsked(1, "", ""), content)
    return f"; tomorrow is {tomorrow:%A}, {tomorrow}" if tomorrow is not None else ""


def expression_of(call: ToolCall) -> str:
    """Return the expression that a call of `calculate` works out."""
    return _argument(call)


def _argument(call: ToolCall) -> str:
    try:
        arguments = json.loads(call.arguments)
    except ValueError:
        return ""
    if not isinstance(arguments, dict):
        return ""
    return ", ".join(" ".join(str(value).split()) for value in arguments.values() if value is not None)
