"""Asking the model: one message of a turn, asked for again while what came cannot be used."""

import logging
from collections.abc import Callable

import msgspec

from nanobot.agent.budget import TurnBudget
from nanobot.agent.limits import AgentSettings, Retries, Show
from nanobot.agent.offer import Offer
from nanobot.agent.recaller import Recaller
from nanobot.agent.turn_calls import TurnCalls
from nanobot.context import prompt
from nanobot.context.build import build, fixed_tokens, further_tools, history_budget, tools_size
from nanobot.context.files import least_tokens
from nanobot.context.output import conform, format_instructions, repair_instructions
from nanobot.context.profile import Profile
from nanobot.core.audience import EMPTY, Audience
from nanobot.core.clock import Clock
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
    estimate_tokens,
)
from nanobot.core.model import FORMAT_WITH_TOOLS, AnswerTooLong, Model, ModelRequest
from nanobot.core.observer import Observer
from nanobot.core.output import InvalidOutput, OutputSchemas
from nanobot.core.persona import Persona
from nanobot.core.plan import AgentState
from nanobot.core.tool import ToolSpec
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


def window_set(model: Model, limits: AgentSettings) -> str:
    """Return the size of the window, and who has set it, for an error."""
    if limits.window_tokens <= model.context_tokens:
        return f"the window has {limits.window_tokens} tokens: agent.window_tokens"
    return f"the window of {model.name} has {model.context_tokens} tokens: model.context_tokens"


def _discard(event: Passing) -> None:
    """Show nothing."""


class ModelCall:
    """Asks the model of one turn for its messages.

    `budget` counts every answer, also those that could not be used. `call_ids` holds the ids of tool calls
    that are taken. `was_stopped`: the last answer was longer than the model may write. `budget_tokens`: how
    many tokens of the conversation are shown; less once the window has turned out to be smaller.
    """

    def __init__(
        self,
        turn: Turn,
        model: Model,
        show: Show,
        take_back: TakeBack,
        *,
        audience: Audience | None,
        persona: Persona,
        tools: tuple[ToolSpec, ...],
        file_tools: tuple[ToolSpec, ...],
        history_tools: tuple[ToolSpec, ...],
        offer: Offer,
        recaller: Recaller | None,
        profile: Profile,
        budget_tokens: int,
        call_ids: set[str],
        budget: TurnBudget,
        clock: Clock,
        limits: AgentSettings,
        schemas: OutputSchemas,
        observer: Observer,
        secret: bytes,
    ) -> None:
        self._turn = turn
        self._model = model
        self._show = show
        self._take_back = take_back
        self._audience = audience
        self._persona = persona
        self._has_begun = False
        self.was_stopped = False
        self._tools = tools
        self._file_tools = file_tools
        self._history_tools = history_tools
        self._offer = offer
        self._recaller = recaller
        self._profile = profile
        self._recalled: str | None = None
        # Whether the turn may be told of other sessions, so that there is something to search.
        self._looks_aside = recaller is not None and turn.trace and recaller.looks_aside(turn)
        self.budget_tokens = budget_tokens
        self._lacking: frozenset[str] = frozenset()
        self._window_tokens: int | None = None
        self._refused_by: str | None = None
        self._budget = budget
        self._clock = clock
        self._limits = limits
        self._schemas = schemas
        self._observer = observer
        self._secret = secret
        self._must_call = turn.tool_choice.mode == "required" and bool(turn.tools)
        self._client_tools = (
            frozenset(tool.name for tool in turn.tools) if turn.tool_choice.mode != "none" else frozenset()
        )
        self._calls = TurnCalls(turn, self._client_tools, call_ids)

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
            show = _discard if self._must_call or self._says_form else self._show
            audience = EMPTY if show is _discard else self._audience
            request = self._request(history, state, retries, audience, used_up)
            if not retries.overflows:
                request = await self._with_recalled(request, history)
            try:
                message = self._own(await self._stream(request, show, retries), may_call=may_call)
            except ModelError as error:
                if not self._asks_again(error, request, history, retries, was_shown=show is not _discard):
                    raise (error.instead_of or error) from error.__cause__
                retries.passed_over = error.passed_over
                continue
            self._budget.count(message)
            accepted = await self._accept(message, retries, was_shown=show is not _discard)
            if accepted is not None:
                if request.context is None:
                    return accepted
                return msgspec.structs.replace(accepted, context=request.context)

    @property
    def _says_form(self) -> bool:
        """Whether the model has to be told in words what form its answer must have, because it cannot be held
        to it; the answer is then checked. Changes when a model turns out to lack the ability.
        """
        wanted = self._turn.format
        if wanted is None:
            return False
        if wanted.kind not in self._model.abilities or wanted.kind in self._lacking:
            return True
        return FORMAT_WITH_TOOLS in self._lacking

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
            self._refused_by = error.model
            return self._goes_without(error, retries)
        if isinstance(error, ContextOverflow):
            self._refused_by = error.model
            return retries.count_overflow() and self._shows_less(request, history, retries, error)
        return isinstance(error, _BROKEN_OFF) and self._may_begin_again(retries, was_shown=was_shown)

    def _goes_without(self, error: ModelLacksAbility, retries: Retries) -> bool:
        """Return whether the next request can go without what the model turned out to lack.

        A form is then asked for in words, and the server's own tools are not offered; the client's are what
        the turn is about.
        """
        ability = error.ability
        if ability is None:
            return self._says_form and retries.count_lost_ability()
        if ability in self._lacking or (ability == "tools" and self._client_tools):
            return False
        self._lacking |= {ability}
        return True

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

    def _shows_less(
        self, request: ModelRequest, history: History, retries: Retries, error: ContextOverflow
    ) -> bool:
        """Make the budget smaller than what `request` showed, so that the last try shows the newest message
        alone; return whether there is less to show.
        """
        if len(request.messages) < 2:
            return False
        shown = sum(map(estimate_tokens, request.messages))
        budget = shown // 2 if retries.overflows < self._limits.max_overflows else 0
        if error.limit_tokens is not None:
            # The provider's tokens may be smaller than estimated: what it refused did not fit either.
            window = min(error.limit_tokens, shown + fixed_tokens(self._turn, request.tools, self._persona))
            self._window_tokens = window
            own_tools = max(0, tools_size(request.tools) - tools_size(self._turn.tools))
            own_tokens = own_tools + self._profile.tokens
            budget = min(budget, history_budget(window, window, self._turn, own_tokens, self._persona))
        question = next((message for message in reversed(history.messages) if message.role == "user"), None)
        least = least_tokens(question) if question is not None else 0
        self.budget_tokens = max(least, min(budget, self.budget_tokens))
        return True

    def _request(
        self,
        history: History,
        state: AgentState,
        retries: Retries,
        audience: Audience | None,
        used_up: str | None,
    ) -> ModelRequest:
        nudge = retries.nudge
        last = history.messages[-1] if history.messages else None
        if (
            not nudge
            and last is not None
            and last.role == "assistant"
            and last.stop_reason == "length"
            # What the client began has no need of words: providers that take none at the end get some.
            and not (self._turn.continues and last == self._turn.input[-1])
        ):
            nudge = prompt.ANSWER_WAS_CUT
        wanted = self._turn.format
        offers = used_up is None and "tools" not in self._lacking
        reads_on = False
        if offers:
            abilities = self._model.abilities
            # The server's own tools are for models alone that take tools.
            offers = bool(self._client_tools) or "tools" in abilities
            reads_on = "tools" in abilities and "reading_on" in abilities
        found: tuple[ToolSpec, ...] = ()
        budget_tokens = self.budget_tokens
        # In most sessions none was ever looked for.
        if offers and state.found:
            found = further_tools(self._turn, self._offer.found(state.found))
            budget_tokens -= tools_size(found)
        try:
            return build(
                self._turn,
                history,
                tools=self._tools if offers else (),
                file_tools=self._file_tools if reads_on else (),
                # What was too long must not become longer by what makes up for the messages left out.
                history_tools=self._history_tools if reads_on and not retries.overflows else (),
                found_tools=found,
                looks_aside=self._looks_aside,
                budget_tokens=budget_tokens,
                now=self._clock.now(),
                result_share=self._limits.result_share,
                persona=self._persona,
                profile=self._profile.text,
                plan=state.plan,
                hint="" if used_up is None else prompt.LAST_STEP.format(what=used_up),
                nudge=nudge,
                draft=retries.draft,
                form=format_instructions(wanted) if wanted is not None and self._says_form else "",
                lacking=self._lacking,
                window_tokens=self._window_tokens,
                audience=audience,
                refused_by=self._refused_by,
                passed_over=retries.passed_over,
                secret=self._secret,
            )
        except ContextOverflow as error:
            window = window_set(self._model, self._limits)
            raise ContextOverflow(f"{error.message} ({window})") from None

    async def _with_recalled(self, request: ModelRequest, history: History) -> ModelRequest:
        """Return the request with what earlier messages say about the turn's input in its notes, looked for
        once a turn.
        """
        recaller = self._recaller
        is_hidden = request.context is not None or self._profile.leaves_out
        if (
            recaller is None
            or not (is_hidden or self._looks_aside)
            or not recaller.is_of_use(self._turn, self._model)
        ):
            return request
        if self._recalled is None:
            if history.turn is not None and history.turn.folded:
                # A turn that has come so far begins no more with what it was to be told at its beginning.
                return request
            self._recalled = await recaller.recall(
                self._turn, request.context, self.budget_tokens, self._profile
            )
        if not self._recalled:
            return request
        return msgspec.structs.replace(request, notes=f"{request.notes}\n{self._recalled}")

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

    def _own(self, message: Message, *, may_call: bool) -> Message:
        """Return the message with call ids that are unique in this turn, without empty texts, and without
        calls that were not asked for, or are more than are kept.
        """
        parts = []
        is_alone = self._turn.sampling.parallel_tool_calls is False
        most = 1 if is_alone else max(MOST_CALLS_KEPT, self._limits.max_calls_per_step)
        made = kept = 0
        for part in message.parts:
            if isinstance(part, ToolCall):
                # Some models call tools that they were not offered, or several where one was asked for.
                made += 1
                if not may_call or kept >= most:
                    continue
                kept += 1
                part = self._calls.own(part)
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
