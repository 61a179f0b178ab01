"""A provider that echoes the newest token it sees, and breaks in every way that providers do.

What it does to a request follows from the seed, the token and how often it was asked about it; not from the
order of requests.
"""

import asyncio
import random
import threading
from collections import Counter
from types import TracebackType
from typing import Any, Self

from tests.chaos.tokens import Token, tokens_in
from tests.upstream import (
    CUT,
    HANG,
    Asked,
    Gate,
    Reply,
    Step,
    Upstream,
    call,
    finish,
    raw,
    refused,
    silent,
    spoken,
    streamed,
    text,
)

FAULTS: dict[str, int] = {
    "hangs before the head": 3,
    "hangs in the middle": 3,
    "cuts before the head": 3,
    "cuts in the middle": 4,
    "ends without an end": 3,
    "sends garbage for HTTP": 2,
    "sends garbage for events": 3,
    "refuses with 429": 5,
    "refuses with 529": 3,
    "refuses with 500": 3,
    "answers nothing": 3,
    "calls a tool that is none": 2,
    "calls a tool with broken arguments": 2,
    "stops at the length limit": 3,
    "speaks slowly": 6,
}
_TOOLS = {"o": "note_once", "r": "note_again"}
_SLOW_S = 0.15
_SUMMARISING = "Below is the beginning of a conversation between a user and you."


class Faults:
    """What is answered;

    `calm` stops the faults. `complaints` are requests that no provider would take, or that mix two keys.
    """

    def __init__(self, seed: int, share: float) -> None:
        self.calm = False
        self.asked = 0
        self.broken: Counter[str] = Counter()
        self.complaints: list[str] = []
        self._seed = seed
        self._share = share
        self._times: Counter[Token] = Counter()

    def __call__(self, asked: Asked) -> Reply:
        if asked.method == "GET":
            return Reply(
                (b'{"object":"list","data":[]}',),
                headers={"Content-Type": "application/json"},
                framing="length",
            )
        self.asked += 1
        messages: list[dict[str, Any]] = asked.json["messages"]
        self.complaints.extend(complaints(messages))
        last, token = _newest(messages)
        if token is None:
            self.complaints.append(f"no token in {str(messages)[-200:]}")
            return streamed(text("nothing to echo"))
        times = self._times[token] = self._times[token] + 1
        chance = random.Random(f"{self._seed}:{token}:{times}")
        fault = None
        if not self.calm and chance.random() < self._share:
            fault = chance.choices(list(FAULTS), list(FAULTS.values()))[0]
            self.broken[fault] += 1
        # Where a model has broken its calls again and again, the last step of a turn offers none.
        can_call = bool(asked.json.get("tools"))
        wanted = _wanted(messages[last:], token, times, chance) if can_call else _echo(token)
        return _reply(fault, wanted, f"{token}_{times}", chance)


def _newest(messages: list[dict[str, Any]]) -> tuple[int, Token | None]:
    """Return where the newest token of a user stands, and the token."""
    for position in range(len(messages) - 1, -1, -1):
        if messages[position]["role"] == "user" and (found := tokens_in(str(messages[position]["content"]))):
            return position, found[-1]
    return 0, None


def _wanted(since: list[dict[str, Any]], token: Token, times: int, chance: random.Random) -> list[Step]:
    """Return the answer of a sound model: the call that the token's mark asks for, once; then the echo."""
    has_called = any(
        _is_good(made["function"]) for message in since for made in message.get("tool_calls") or ()
    )
    if token.mark == "p" or has_called:
        return _echo(token)
    name, arguments = _TOOLS.get(token.mark, "calculate"), f'{{"id": "{token}_{times}"}}'
    if token.mark == "t":
        name, arguments = chance.choice(
            [("calculate", '{"expression": "6 * 7"}'), ("current_time", '{"timezone": "Asia/Tokyo"}')]
        )
    said: list[Step] = [text("Let me see.")] if chance.random() < 0.3 else []
    half = len(arguments) // 2
    call_id = f"good_{token}_{times}"
    return [
        *said,
        call(0, call_id, name, arguments[:half]),
        call(0, None, None, arguments[half:]),
        finish("tool_calls"),
    ]


def _echo(token: Token) -> list[Step]:
    return [text("echo "), text(str(token)), finish()]


def _is_good(function: dict[str, str]) -> bool:
    """Return whether a call is one that `_wanted` makes; the ids are the server's own."""
    return function["name"] != "no_such_tool" and "malformed" not in function["arguments"]


def _reply(fault: str | None, wanted: list[Step], name: str, chance: random.Random) -> Reply:
    done = spoken(*wanted, b"data: [DONE]\n\n")
    match fault:
        case "hangs before the head":
            return silent()
        case "hangs in the middle":
            return spoken(*wanted[:-1], HANG)
        case "cuts before the head":
            return Reply(before=(CUT,))
        case "cuts in the middle":
            return spoken(*wanted[: chance.randint(0, len(wanted) - 1)], CUT)
        case "ends without an end":
            return spoken(*wanted[:-1])
        case "sends garbage for HTTP":
            return raw(b"\x16\x03\x01 what is this\r\n\r\n")
        case "sends garbage for events":
            return spoken(
                *wanted[: chance.randint(0, 1)], b'data: {"choices": [{"del\n\n', b"data: [DONE]\n\n"
            )
        case "refuses with 429":
            return refused(429, "slow down", headers={"Retry-After": chance.choice(["0", "1"])})
        case "refuses with 529":
            return refused(529, "overloaded")
        case "refuses with 500":
            return refused(500, "oops")
        case "answers nothing":
            return streamed(text(""))
        case "calls a tool that is none":
            return spoken(
                call(0, f"bad_{name}", "no_such_tool", "{}"), finish("tool_calls"), b"data: [DONE]\n\n"
            )
        case "calls a tool with broken arguments":
            return spoken(
                call(0, f"bad_{name}", "note_once", '{"id": "unfin'),
                finish("tool_calls"),
                b"data: [DONE]\n\n",
            )
        case "stops at the length limit":
            return spoken(text("Well, "), finish("length"), b"data: [DONE]\n\n")
        case "speaks slowly":
            return spoken(*_slowly(wanted), b"data: [DONE]\n\n")
        case _:
            return done


def _slowly(steps: list[Step]) -> list[Step]:
    slow: list[Step] = []
    loop = asyncio.get_running_loop()
    for number, step in enumerate(steps, 1):
        gate = Gate()
        loop.call_later(number * _SLOW_S, gate.open)
        slow += [gate, step]
    return slow


def complaints(messages: list[dict[str, Any]]) -> list[str]:
    """Return what a strict provider would refuse, and tokens that occur twice or beside another key's."""
    found: list[str] = []
    users = [
        token
        for message in messages
        if message["role"] == "user"
        for token in tokens_in(str(message["content"]))
    ]
    if len({token.key for token in users}) > 1:
        found.append(f"tokens of several keys in one request: {[str(token) for token in users]}")
    # A summary is asked for with questions and answers in one text, and the answers repeat the tokens.
    if len(set(users)) != len(users) and _SUMMARISING not in str(messages):
        found.append(
            "a token twice in one request:"
            f" {[str(token) for token, times in Counter(users).items() if times > 1]}"
        )
    waiting: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                found.append(f"a result without its call: {message['tool_call_id']}")
            else:
                waiting.remove(message["tool_call_id"])
            continue
        if waiting:
            found.append(f"calls without a result before the next message: {waiting}")
        waiting = [made["id"] for made in message.get("tool_calls") or ()]
        if message["role"] == "assistant" and not waiting and not message.get("content"):
            found.append("an assistant message without content")
    if waiting:
        found.append(f"calls without a result at the end: {waiting}")
    return found


class FaultyProvider:
    """`Faults` behind a real socket, on an event loop of its own thread."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.url = ""
        self._started = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing: asyncio.Event | None = None
        self._upstream: Upstream | None = None
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve()), name="faulty-provider", daemon=True
        )

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._closing = asyncio.Event()
        async with Upstream(self._answer) as upstream:
            self._upstream = upstream
            self.url = upstream.url
            self._started.set()
            await self._closing.wait()

    def _answer(self, asked: Asked) -> Reply:
        if self._upstream is not None:
            # ten minutes of them would fill the memory
            self._upstream.requests.clear()
        return self.faults(asked)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._started.wait(10):
            raise TimeoutError("the faulty provider did not start within 10 s")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None and self._closing is not None:
            self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(10)
