"""Answers to requests that bring tools, or want JSON: first, which tools the message needs; then the answer.

A small model cannot call tools that it has seen no examples of. So it is asked, under a grammar, what the
message needs (`routing.py`): tools, what was said before, or nothing. The tools' results are then put into
the prompt as plain text (`plain_text.py`).
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec

from nanobot.core.clock import Clock
from nanobot.core.errors import ModelBadAnswer
from nanobot.core.event import Delta
from nanobot.core.ids import Randomness, new_id
from nanobot.core.message import Message, ToolCall, Usage
from nanobot.core.model import ModelRequest
from nanobot.core.tool import ToolSpec
from nanobot.core.turn import Sampling
from nanobot.models.local import recall, routing
from nanobot.models.local.engine_chat import EngineChat, Prompt, limited
from nanobot.models.local.plain_text import plain
from nanobot.models.local.routing import Decision, PlannedCall
from nanobot.models.local.salt import salt_of, salted_question, salted_system, without_luck

_TEMPERATURE = 0.2
_MAX_ROUTINGS = 2


class Routed:
    """Answers any request. `shared_system` and `own_tools` are what the requests of all sessions have; all
    else is a part of a client's conversation, and stands behind its salt.

    `routing_tokens`, `answer_tokens`: how long what is shared is in the engine's tokens, as far as known.
    """

    def __init__(
        self,
        chat: EngineChat,
        shared_system: str,
        own_tools: tuple[ToolSpec, ...],
        clock: Clock,
        random: Randomness,
    ) -> None:
        self._chat = chat
        self._shared_system = shared_system
        self._own_tools = own_tools
        self.routing_tokens = 0
        self.answer_tokens = 0
        self._clock = clock
        self._random = random

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta | Message, None]:
        """Yield the answer, or a message that calls tools, in the form of `core.model.Model`.

        Raises:
            ModelError: the engine cannot run here, or failed.
        """
        route, routing_usage = await self._route(request)
        if route.calls:
            yield self._call_message(route.calls, routing_usage)
            return
        if request.tool_choice.mode == "required":
            raise ModelBadAnswer(f"the model {self._chat.name} did not manage to call a tool")
        is_recall = route.recall and request.format is None
        system = salted_system(request.system, self._shared_system, salt_of(request.session_hint))
        messages, grammar = plain(request.messages, is_recall=is_recall)
        repeats = is_recall or (bool(request.messages) and request.messages[-1].role == "tool")
        # What was said, or looked up, is to be repeated exactly.
        sampling = limited(request.sampling, temperature=0.0 if repeats else _TEMPERATURE)
        asked = msgspec.structs.replace(
            request, system=system, messages=messages, tools=(), notes="", sampling=sampling
        )
        async with aclosing(self._chat.ask(Prompt("answer", asked, grammar))) as answer:
            async for piece in answer:
                if isinstance(piece, Message):
                    shared = self.answer_tokens if request.system.startswith(self._shared_system) else 0
                    usage = routing_usage + without_luck(piece.usage or Usage(), shared)
                    whole = msgspec.structs.replace(piece, usage=usage, model=self._chat.name)
                    yield recall.marked(whole) if is_recall else whole
                else:
                    yield piece

    async def _route(self, request: ModelRequest) -> tuple[Decision, Usage]:
        """Return what the last message needs, and the usage of asking for it."""
        turn = _current_turn(request.messages)
        steps = sum(1 for message in turn if message.tool_calls)
        must_call = request.tool_choice.mode == "required"
        if not turn or (not must_call and (steps >= _MAX_ROUTINGS or (steps and not _failed(turn)))):
            return Decision(), Usage()
        if not must_call and not steps and recall.asks_for_words(turn[0].text):
            return Decision(recall=True), Usage()
        max_calls = 1 if request.sampling.parallel_tool_calls is False else routing.MAX_CALLS
        sampling = Sampling(temperature=0.0, max_output_tokens=routing.MAX_ROUTE_TOKENS)
        question = routing.question(request.messages)
        asked = msgspec.structs.replace(
            self.asked_for_route(request.tools, question, salt_of(request.session_hint)),
            sampling=sampling,
            session_hint=request.session_hint,
        )
        grammar = routing.grammar(request.tools, choice=request.tool_choice, max_calls=max_calls)
        decision = await self._chat.whole(Prompt("route", asked, grammar))
        route = routing.read(decision.text, request.tools, max_calls=max_calls)
        earlier = {(call.name, call.arguments) for message in turn for call in message.tool_calls}
        # The same call again would bring the same result.
        calls = tuple(call for call in route.calls if (call.name, call.arguments) not in earlier)
        shared = self.routing_tokens if request.tools == self._own_tools else 0
        usage = without_luck(decision.usage or Usage(), shared)
        return Decision(calls, recall=route.recall and not steps), usage

    def asked_for_route(self, tools: tuple[ToolSpec, ...], question: Message, salt: str) -> ModelRequest:
        """Return the request for the tools that `question` needs."""
        system = routing.instructions(tools)
        if tools == self._own_tools:
            question = salted_question(question, salt)
        else:
            system = salted_system(system, "", salt)
        return ModelRequest(system, (*routing.examples(tools), question))

    def _call_message(self, planned: tuple[PlannedCall, ...], usage: Usage) -> Message:
        now = self._clock.now()
        calls = tuple(
            ToolCall(new_id("call", now, self._random), call.name, call.arguments) for call in planned
        )
        return Message("assistant", calls, stop_reason="tool_calls", usage=usage, model=self._chat.name)


def _current_turn(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return the messages from the user's last one on; empty where the last message is an answer."""
    if not messages or messages[-1].role == "assistant":
        return ()
    last = max((at for at, message in enumerate(messages) if message.role == "user"), default=len(messages))
    return messages[last:]


def _failed(turn: tuple[Message, ...]) -> bool:
    """Return whether the newest results hold an error, so that another call may do better."""
    results = turn[-1].tool_results
    return bool(results) and any(result.is_error for result in results)
