"""What a client can hold of a conversation, as numbers: lists of messages are the same where their places
are.

A client holds its inputs and one reply a turn. A `Place` stands for such a list; the place of a longer one is
computed from it (a polynomial over a prime), and so is what any stretch adds to any beginning. Compared are
the role, the name of a user, the text (line ends, Unicode form, surrounding white space and the thoughts
that clients put before an answer aside), what is attached, and the name and arguments of calls and the
contents of their results. Ids count for nothing, nor does the order in which calls of one step and their
results are listed: clients differ in both.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from struct import Struct as Layout

import msgspec

from nanobot.core.late_pattern import LatePattern
from nanobot.core.message import Audio, File, Image, Message, Text, ToolCall

PRIME = (1 << 61) - 1
_MOST = PRIME - 1
_SLICE_CHARS = 64 * 1024
_blake2b = hashlib.blake2b
_BASE = 1_143_098_672_046_301_133
_LAYOUT = Layout(">IQ")
_THINK = LatePattern(
    r"<(think|thinking|thought|reasoning|seed:think)>.*?(?:</\1>|\Z)"
    r"|<details type=\"reasoning\".*?(?:</details>|\Z)"
    r"|\[THINK\].*?(?:\[/THINK\]|\Z)"
    r"|◁think▷.*?(?:◁/think▷|\Z)"
    r"|<\|begin_of_thought\|>.*?(?:<\|end_of_thought\|>|\Z)",
    re.DOTALL,
)
"""Thoughts as clients write them into the answers that they send back, in the tags of models."""
_THOUGHTS_BEGIN = LatePattern(r"<(?:think|thought|reasoning|seed:think|details|\|begin_of)|\[THINK|◁")
_SIGNS_OF_THOUGHTS = ("<", "[THINK", "◁")
"""One of these is in all of them, and is looked for ten times as fast: answers may be long."""
_FRACTION = LatePattern(r"[0-9][.eE]")
"""Is in each number that is not written as a whole one."""
_EXACT = 1 << 53
"""Beyond it JavaScript has not all whole numbers."""
NO_CALLS: Mapping[str, ToolCall] = {}


class Place(msgspec.Struct, frozen=True, gc=False, order=True):
    """Where a list of messages leads to.

    `depth` counts its steps (a call or a result belongs to the step before it), `chain` is below `PRIME`.
    """

    depth: int = 0
    chain: int = 0

    def packed(self) -> bytes:
        """Return 12 bytes that sort by depth."""
        return _LAYOUT.pack(self.depth, self.chain)

    def then(self, stretch: "Place") -> "Place":
        """Return where the messages that lead from the beginning to `stretch` lead to from here."""
        chain = (self.chain * pow(_BASE, stretch.depth, PRIME) + stretch.chain) % PRIME
        return Place(self.depth + stretch.depth, chain)

    def since(self, before: "Place") -> "Place":
        """Return what leads here from `before`, a place on the way: `before.then(...)` of it is this one."""
        depth = self.depth - before.depth
        return Place(depth, (self.chain - before.chain * pow(_BASE, depth, PRIME)) % PRIME)


START = Place()


def unpacked(packed: bytes) -> Place:
    """Return the place that was packed."""
    return Place(*_LAYOUT.unpack(packed))


def place_after(place: Place, message: Message, calls: Mapping[str, ToolCall] = NO_CALLS) -> Place:
    """Return the place once `message` has come; the same where there is nothing in it.

    `calls`: those that its results may answer, by their ids.
    """
    depth, chain = place.depth, place.chain
    parts = message.parts
    number = 0
    if len(parts) == 1 and type(parts[0]) is Text:
        if content := _normal(message.role, parts[0].text):
            number = _number(message.role, content + _by(message))
    else:
        pieces = _content(message)
        if any(pieces):
            number = _number_of(message.role, (*pieces, _by(message)))
        for call in message.tool_calls:
            chain += _number("call", call_key(call))
        for result in message.tool_results:
            answered = calls.get(result.call_id)
            key = "" if answered is None else call_key(answered)
            chain += _number("result", f"{key}\0{_normal('tool', result.content)}")
    if number:
        # The calls of a message come after its words.
        said = (place.chain * _BASE + number) % PRIME
        return Place(depth + 1, (said + chain - place.chain) % PRIME)
    return place if chain == place.chain else Place(depth, chain % PRIME)


def place_of(
    messages: Iterable[Message], start: Place = START, calls_before: Mapping[str, ToolCall] = NO_CALLS
) -> Place:
    """Return the place to which the messages lead from `start`; `calls_before`: the calls made up to there
    that their results may answer, by their ids.
    """
    depth, chain = start.depth, start.chain
    for depth, chain in _steps(messages, start, calls_before):  # noqa: B007 - the last is wanted
        pass
    return Place(depth, chain)


def places(messages: Iterable[Message]) -> list[Place]:
    """Return the places to which the messages lead from the beginning, after each of them."""
    return [Place(depth, chain) for depth, chain in _steps(messages, START, NO_CALLS)]


def step_of_depth(depth: int) -> int:
    """Return by what the chain of a place is multiplied where so many steps follow it; see `Place.then`."""
    return pow(_BASE, depth, PRIME)


def _steps(
    messages: Iterable[Message], start: Place, calls_before: Mapping[str, ToolCall]
) -> Iterator[tuple[int, int]]:
    """Yield depth and chain after each of the messages."""
    calls = dict(calls_before)
    depth, chain = start.depth, start.chain
    for message in messages:
        parts, role = message.parts, message.role
        # Most messages of a long list: the same as below, without another call.
        if (
            len(parts) == 1
            and type(parts[0]) is Text
            and parts[0].text.isascii()
            and (message.name is None or role == "assistant")
        ):
            text = parts[0].text
            plain = role != "assistant" or ("<" not in text and "[THINK" not in text)
            if plain and "\r" not in text:
                if text := text.strip():
                    depth += 1
                    said = f"{role}\0{text}".encode()
                    number = int.from_bytes(_blake2b(said, digest_size=8).digest(), "big")
                    chain = (chain * _BASE + number % _MOST + 1) % PRIME
                yield depth, chain
                continue
        place = place_after(Place(depth, chain), message, calls)
        depth, chain = place.depth, place.chain
        if role == "assistant":
            calls.update((call.id, call) for call in message.tool_calls)
        yield depth, chain


def calls_in(messages: Iterable[Message]) -> dict[str, ToolCall]:
    """Return the calls that the messages show, by their ids."""
    return {
        part.id: part
        for message in messages
        if message.role == "assistant"
        for part in message.parts
        if type(part) is ToolCall
    }


def call_key(call: ToolCall) -> str:
    """Return what is compared of a call: its name and its arguments, whatever the spelling of their JSON."""
    try:
        value = msgspec.json.decode(call.arguments or "{}")
        # JavaScript writes 1 of 1.0, and so does what sends calls back through it.
        if _FRACTION.search(call.arguments) is not None:
            value = _with_whole_numbers(value)
        arguments = msgspec.json.encode(value, order="sorted").decode()
    except (msgspec.MsgspecError, RecursionError):
        arguments = call.arguments.strip()
    return f"{call.name}\0{arguments}"


def _with_whole_numbers(value: object) -> object:
    """Return a value of JSON with whole numbers as such, however they were written."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < _EXACT else value
    if isinstance(value, list):
        return [_with_whole_numbers(one) for one in value]
    if isinstance(value, dict):
        return {name: _with_whole_numbers(one) for name, one in value.items()}
    return value


def _by(message: Message) -> str:
    """Return what tells who said a message; answers are the agent's, whatever a client calls it."""
    return "" if message.name is None or message.role == "assistant" else f"\0by {message.name}"


def _content(message: Message) -> list[str]:
    """Return what is compared of a message besides its calls and results, in pieces: a picture is not copied
    for that.
    """
    pieces = [_normal(message.role, message.text)]
    if message.sources:
        for source in message.sources:
            pieces += ("\0", source)
        return pieces
    for part in message.parts:
        if isinstance(part, Image):
            pieces += ("\0image ", part.url)
        elif isinstance(part, Audio):
            pieces += ("\0audio ", part.data)
        elif isinstance(part, File):
            pieces += (f"\0file {part.name}\0", part.text)
    return pieces


def _normal(role: str, text: str) -> str:
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if (
        role == "assistant"
        and any(sign in text for sign in _SIGNS_OF_THOUGHTS)
        and _THOUGHTS_BEGIN.search(text) is not None
    ):
        text = _THINK.sub("", text)
    return text.strip() if text.isascii() else unicodedata.normalize("NFC", text).strip()


def _number_of(role: str, pieces: Iterable[str]) -> int:
    """Return the number of a message with this content; other threads run meanwhile."""
    digest = _blake2b(f"{role}\0".encode(), digest_size=8)
    for piece in pieces:
        for start in range(0, len(piece), _SLICE_CHARS):
            digest.update(piece[start : start + _SLICE_CHARS].encode("utf-8", "surrogatepass"))
    return int.from_bytes(digest.digest(), "big") % _MOST + 1


def _number(role: str, content: str) -> int:
    """Return a number below `PRIME` for a message; never 0."""
    said = f"{role}\0{content}".encode("utf-8", "surrogatepass")
    return int.from_bytes(_blake2b(said, digest_size=8).digest(), "big") % _MOST + 1
