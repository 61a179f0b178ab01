"""Asking the model: one message of a turn, asked for again while what came cannot be used."""

import logging
from collections.abc import Callable

import msgspec

from nanobot.agent.budget import TurnBudget
from nanobot.agent.limits import AgentSettings, Retries, Show
from nanobot.agent.token_ratios import TokenRatios
from nanobot.agent.turn_calls import TurnCalls
from nanobot.agent.turn_requests import TurnRequests
from nanobot.context import prompt
from nanobot.context.output import conform, repair_instructions
from nanobot.core.audience import EMPTY, Audience
from nanobot.core.dispatch import History
from nanobot.core.errors import (
    ContextOverflow,
    ModelBadAnswer,
    ModelError,
    ModelLacksAbility,
    ModelOverloaded,
    ModelTimeout,
    ModelUnreachable,
    NanobotError,
)
from nanobot.core.event import ModelChosen, Passing, TextDelta, ThinkingDelta
from nanobot.core.message import (
    Message,
    PassedOver,
    Text,
    Thinking,
    ToolCall,
)
from nanobot.core.model import AnswerTooLong, Model, ModelRequest
from nanobot.core.observer import Observer
from nanobot.core.output import InvalidOutput, OutputSchemas
from nanobot.core.plan import AgentState
from nanobot.core.tool_names import offered_name
from nanobot.core.turn import Turn

TakeBack = Callable[[], bool]
"""Forgets the deltas since the last commit, unless somebody has received some; returns whether they are
gone.
"""
_log = logging.getLogger(__name__)
MOST_CALLS_KEPT = 256
"""How many calls of one message are kept, run or not, unless more may be run."""
_BROKEN_OFF = (ModelBadAnswer, ModelOverloaded, ModelTimeout, ModelUnreachable)
"""Failures in the middle of an answer that may not come again."""


def _discard(event: Passing) -> None:
    """Show nothing."""


class ModelCall:
    """Asks the model of one turn for its messages, by the `requests` of the turn.

    `budget` counts every answer, also those that could not be used. `call_ids` holds the ids of tool calls
    that are taken. `was_stopped`: the last answer was longer than the model may write. `ratios`: how models
    were seen to count tokens.
    """

    def __init__(
        self,
        turn: Turn,
        model: Model,
        requests: TurnRequests,
        show: Show,
        take_back: TakeBack,
        *,
        audience: Audience | None,
        ratios: TokenRatios,
        call_ids: set[str],
        budget: TurnBudget,
        limits: AgentSettings,
        schemas: OutputSchemas,
        observer: Observer,
    ) -> None:
        self._turn = turn
        self._model = model
        self._requests = requests
        self._show = show
        self._take_back = take_back
        self._audience = audience
        self._has_begun = False
        self.was_stopped = False
        self._ratios = ratios
        self._budget = budget
        self._limits = limits
        self._schemas = schemas
        self._observer = observer
        self._must_call = turn.tool_choice.mode == "required" and bool(turn.tools)
        self._calls = TurnCalls(turn, requests.client_tools, call_ids)

    @property
    def budget_tokens(self) -> int:
        """How many tokens of the conversation are shown."""
        return self._requests.budget_tokens

    async def ask(self, history: History, state: AgentState, *, used_up: str | None = None) -> Message:
        """Return the model's next message after `history`; without calls where something is `used_up`, which
        it is told. `state`: what the agent keeps by now.

        An empty message is asked for again, and one that is not in the form that it must have; where the
        model's window is too small for the history, less is shown.

        Raises:
            ModelError: the model failed, or was asked again as often as the limits allow.
        """
        retries = Retries(self._limits)
        may_call = used_up is None
        while True:
            # What may have to be asked for again is shown only once it is right.
            show = _discard if self._must_call or self._requests.says_form else self._show
            audience = EMPTY if show is _discard else self._audience
            request = self._requests.request(history, state, retries, audience, used_up)
            if not retries.overflows:
                request = await self._requests.with_recalled(request, history)
            try:
                message = self._own(await self._stream(request, show, retries), request, may_call=may_call)
            except ModelError as error:
                if not self._asks_again(error, request, history, retries, was_shown=show is not _discard):
                    raise (error.instead_of or error) from error.__cause__
                retries.passed_over = error.passed_over
                continue
            self._budget.count(message)
            self._learn(request, message)
            accepted = await self._accept(message, retries, was_shown=show is not _discard)
            if accepted is not None:
                if request.context is None:
                    return accepted
                return msgspec.structs.replace(accepted, context=request.context)

    def _learn(self, request: ModelRequest, message: Message) -> None:
        """Learn how the model counts tokens, unless another model has answered in its place."""
        if len(request.messages) > 1 and message.model in (None, self._model.name):
            self._ratios.learn(self._model.name, request, self._requests.fixed_tokens, message.usage)

    def _asks_again(
        self,
        error: ModelError,
        request: ModelRequest,
        history: History,
        retries: Retries,
        *,
        was_shown: bool,
    ) -> bool:
        """Return whether the model is asked once more after the error, and what is to be different then."""
        if isinstance(error, ModelLacksAbility):
            return self._requests.goes_without(error, retries)
        if isinstance(error, ContextOverflow):
            return retries.count_overflow() and self._requests.shows_less(request, history, retries, error)
        return isinstance(error, _BROKEN_OFF) and self._may_begin_again(retries, was_shown=was_shown)

    def _may_begin_again(self, retries: Retries, *, was_shown: bool) -> bool:
        """Return whether an answer that broke off is asked for again: nobody may have received any of it. One
        that had not begun was tried again by the model already.
        """
        if not self._has_begun or not retries.count_broken():
            return False
        if was_shown and not self._take_back():
            return False
        if was_shown:
            retries.shown, retries.chosen = (), None
        return True

    async def _stream(self, request: ModelRequest, show: Show, retries: Retries) -> Message:
        """Show what the model says as it comes; return its message."""
        observer, turn, name = self._observer, self._turn, self._model.name
        has_spoken = False
        problem: NanobotError | None = None
        answer: Message | None = None
        chosen: ModelChosen | None = None
        self._has_begun = self.was_stopped = False
        observer.model_asked(turn, name)
        stream = self._model.stream(request)
        try:
            async for item in stream:
                if not has_spoken:
                    if isinstance(item, ModelChosen):
                        known = chosen.passed_over if chosen is not None else request.passed_over
                        self._note_choice(item, name, known)
                        chosen, name = item, item.model
                        continue
                    has_spoken = True
                    observer.model_spoke(turn, name)
                    # Together with the first words: it alone must not keep them from being taken back.
                    if chosen is not None and not isinstance(item, Message) and show is not _discard:
                        retries.tell(chosen, show)
                if isinstance(item, Message):
                    answer = item
                    return item
                self._has_begun = True
                show(item)
            problem = ModelBadAnswer(f"{name} ended without a message")
            raise problem
        except AnswerTooLong as error:
            if not error.answer.parts:
                problem = error
                raise
            _log.warning("turn %s: %s", turn.id, error.message)
            self.was_stopped = True
            answer = error.answer
            return answer
        except NanobotError as error:
            problem = error
            raise
        finally:
            if answer is None:
                observer.model_failed(turn, name, problem)
            else:
                observer.model_answered(turn, name, answer)
            # A generator that is left early closes only when it is collected; the connection must go now.
            await stream.aclose()

    def _note_choice(self, choice: ModelChosen, asked: str, known: tuple[PassedOver, ...]) -> None:
        """Tell the observer that another model is asked than the one `asked`; of those that were passed over,
        it has heard of the `known` ones.
        """
        for each in choice.passed_over:
            if each.was_asked and each not in known:
                self._observer.model_passed_over(self._turn, each.model, each.code)
        if choice.model != asked:
            self._observer.model_asked(self._turn, choice.model)

    # What came ------------------------------------------------------------------------------------

    def _own(self, message: Message, request: ModelRequest, *, may_call: bool) -> Message:
        """Return the message with call ids that are unique in this turn and the names of tools as they were
        offered, without empty texts, and without calls that were not asked for, or are more than are kept.
        """
        if message.model and len(message.parts) == 1 and type(message.parts[0]) is Text and message.text:
            # As nearly all answers are.
            return message
        parts = []
        is_alone = self._turn.sampling.parallel_tool_calls is False
        most = 1 if is_alone else max(MOST_CALLS_KEPT, self._limits.max_calls_per_step)
        made = kept = 0
        offered = {tool.name for tool in request.tools}
        for part in message.parts:
            if isinstance(part, ToolCall):
                # Some models call tools that they were not offered, or several where one was asked for.
                made += 1
                if not may_call or kept >= most:
                    continue
                kept += 1
                part = self._calls.own(msgspec.structs.replace(part, name=offered_name(part.name, offered)))
            elif isinstance(part, Text) and not part.text and part.provider_state is None:
                continue
            parts.append(part)
        if made > MOST_CALLS_KEPT:
            _log.warning("%s made %d calls in one message: %d are kept", self._model.name, made, kept)
        return msgspec.structs.replace(message, parts=tuple(parts), model=message.model or self._model.name)

    async def _accept(self, message: Message, retries: Retries, *, was_shown: bool) -> Message | None:
        """Return the message as it becomes part of the turn; None where the model is to be asked again.

        Raises:
            ModelBadAnswer: it was asked again often enough.
        """
        if self._is_unanswered(message):
            if retries.count_empty(prompt.ANSWER_WAS_EMPTY, message.parts if was_shown else ()):
                if retries.empty == self._limits.max_empty:
                    retries.passed_over += (_silent(message),)
                return None
            raise ModelBadAnswer(f"{self._model.name} answered nothing, {retries.empty} times")
        if not was_shown:
            try:
                message = await self._in_form(message)
            except InvalidOutput as problem:
                nudge = prompt.NO_CALL if self._must_call else repair_instructions(problem)
                if retries.count_repair(nudge, message.text):
                    return None
                raise ModelBadAnswer(
                    f"{self._model.name} did not answer as it was asked, {retries.repairs} times: {problem}"
                ) from problem
        if message.passed_over is not None or retries.chosen is not None:
            message = self._tell_choice(message, retries)
        if not was_shown:
            self._show_all(message)
        if not retries.shown:
            return message
        return msgspec.structs.replace(message, parts=retries.shown + message.parts)

    def _tell_choice(self, message: Message, retries: Retries) -> Message:
        """Show which model answers, unless that was shown with its first words; return the message with what
        followers were shown.
        """
        if message.passed_over is not None:
            retries.tell(ModelChosen(message.model or self._model.name, message.passed_over), self._show)
            return message
        told = retries.chosen
        return msgspec.structs.replace(message, passed_over=told.passed_over) if told is not None else message

    def _is_unanswered(self, message: Message) -> bool:
        """Whether the message says nothing, and asking again could help. It could not where the provider
        withheld the answer, or where the asker's own limit was used up by thinking.
        """
        if message.text or message.tool_calls:
            return False
        if message.stop_reason == "length":
            return self._turn.sampling.max_output_tokens is None
        return message.stop_reason != "content_filter"

    async def _in_form(self, message: Message) -> Message:
        """Return the message with nothing but the form that it must have.

        Raises:
            InvalidOutput
        """
        if message.tool_calls or message.stop_reason == "length":
            return message
        if self._must_call:
            raise InvalidOutput("it calls no tool")
        if self._turn.format is None:
            return message
        wanted = self._turn.format
        text = conform(message.text, wanted)
        if wanted.kind == "json_schema":
            await self._schemas.validate(wanted.schema, text, self._turn.session_key)
        if text == message.text:
            return message
        kept = tuple(part for part in message.parts if not isinstance(part, Text))
        return msgspec.structs.replace(message, parts=(*kept, Text(text)))

    def _show_all(self, message: Message) -> None:
        for part in message.parts:
            if isinstance(part, Text):
                self._show(TextDelta(part.text))
            elif isinstance(part, Thinking):
                self._show(ThinkingDelta(part.text))


def _silent(message: Message) -> PassedOver:
    return PassedOver(message.model or "", ModelBadAnswer.code, f"{message.model} answered nothing")
