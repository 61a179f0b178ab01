"""The requests of one turn: what the model is shown and offered, and what it turned out not to take."""

import msgspec

from nanobot.agent.limits import AgentSettings, Retries
from nanobot.agent.offer import Offer
from nanobot.agent.recaller import Recaller
from nanobot.context import prompt
from nanobot.context.build import (
    build,
    fixed_tokens,
    further_tools,
    history_budget,
    longest_answer,
    tools_size,
)
from nanobot.context.files import least_tokens
from nanobot.context.output import format_instructions
from nanobot.context.profile import Profile
from nanobot.core.audience import Audience
from nanobot.core.clock import Clock
from nanobot.core.dispatch import History
from nanobot.core.errors import ContextOverflow, ModelLacksAbility
from nanobot.core.message import estimate_tokens
from nanobot.core.model import FORMAT_WITH_TOOLS, Model, ModelRequest
from nanobot.core.persona import Persona
from nanobot.core.plan import AgentState
from nanobot.core.tool import ToolSpec
from nanobot.core.turn import Turn


def window_set(model: Model, limits: AgentSettings) -> str:
    """Return the size of the window, and who has set it, for an error."""
    if limits.window_tokens <= model.context_tokens:
        return f"the window has {limits.window_tokens} tokens: agent.window_tokens"
    return f"the window of {model.name} has {model.context_tokens} tokens: model.context_tokens"


class TurnRequests:
    """Makes the requests of one turn.

    `budget_tokens`: how many tokens of the conversation are shown; less once the window has turned out to be
    smaller. `client_tools`: the names of the client's tools that may be called. `is_side_task`: as in
    `ModelRequest`.
    """

    def __init__(
        self,
        turn: Turn,
        model: Model,
        *,
        persona: Persona,
        tools: tuple[ToolSpec, ...],
        file_tools: tuple[ToolSpec, ...],
        history_tools: tuple[ToolSpec, ...],
        offer: Offer,
        recaller: Recaller | None,
        profile: Profile,
        budget_tokens: int,
        clock: Clock,
        limits: AgentSettings,
        secret: bytes,
        is_side_task: bool = False,
    ) -> None:
        self._turn = turn
        self._model = model
        self._persona = persona
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
        self._clock = clock
        self._limits = limits
        self._secret = secret
        self._is_side_task = is_side_task
        self.client_tools = (
            frozenset(tool.name for tool in turn.tools) if turn.tool_choice.mode != "none" else frozenset()
        )

    @property
    def says_form(self) -> bool:
        """Whether the model has to be told in words what form its answer must have, because it cannot be held
        to it; the answer is then checked. Changes when a model turns out to lack the ability.
        """
        wanted = self._turn.format
        if wanted is None:
            return False
        if wanted.kind not in self._model.abilities or wanted.kind in self._lacking:
            return True
        return FORMAT_WITH_TOOLS in self._lacking

    def request(
        self,
        history: History,
        state: AgentState,
        retries: Retries,
        audience: Audience | None,
        used_up: str | None,
    ) -> ModelRequest:
        """Return the next request. `used_up`: what the turn has no more of: then no tools are offered."""
        wanted = self._turn.format
        offers, reads_on = self._offers_tools(used_up)
        found: tuple[ToolSpec, ...] = ()
        budget_tokens = self.budget_tokens
        # In most sessions none was ever looked for.
        if offers and state.found:
            found = further_tools(self._turn, self._offer.found(state.found))
            budget_tokens -= tools_size(found)
        try:
            request = build(
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
                nudge=self._nudge(history, retries),
                draft=retries.draft,
                form=format_instructions(wanted) if wanted is not None and self.says_form else "",
                lacking=self._lacking,
                window_tokens=self._window_tokens,
                audience=audience,
                refused_by=self._refused_by,
                passed_over=retries.passed_over,
                secret=self._secret,
                is_side_task=self._is_side_task,
            )
        except ContextOverflow as error:
            window = window_set(self._model, self._limits)
            raise ContextOverflow(f"{error.message} ({window})") from None
        return self._with_bounded_answer(request)

    def _offers_tools(self, used_up: str | None) -> tuple[bool, bool]:
        """Return whether the model is offered tools, and among them those that read on in what was cut."""
        if used_up is not None or "tools" in self._lacking:
            return False, False
        abilities = self._model.abilities
        # The server's own tools are for models alone that take tools.
        takes_own = "tools" in abilities
        return bool(self.client_tools) or takes_own, takes_own and "reading_on" in abilities

    def _nudge(self, history: History, retries: Retries) -> str:
        """Return what the model is told because of what it said last."""
        last = history.messages[-1] if history.messages else None
        if retries.nudge or last is None or last.role != "assistant" or last.stop_reason != "length":
            return retries.nudge
        if self._turn.continues and last == self._turn.input[-1]:
            # What the client began has no need of words: providers that take none at the end get some.
            return ""
        return prompt.ANSWER_WAS_CUT

    def _with_bounded_answer(self, request: ModelRequest) -> ModelRequest:
        """Return the request with a limit of its answer that the window has room for: many clients send a
        high one unasked, and some providers refuse what does not fit.
        """
        limit = request.sampling.max_output_tokens
        window = self._window_tokens or self._model.context_tokens
        # A limit that fits beside the longest prompt needs no counting.
        if limit is None or limit <= window - self._limits.window_tokens:
            return request
        shown = self.fixed_tokens(request) + sum(map(estimate_tokens, request.messages))
        longest = longest_answer(window, shown)
        if limit <= longest:
            return request
        sampling = msgspec.structs.replace(request.sampling, max_output_tokens=longest)
        return msgspec.structs.replace(request, sampling=sampling)

    async def with_recalled(self, request: ModelRequest, history: History) -> ModelRequest:
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

    def fixed_tokens(self, request: ModelRequest) -> int:
        """Return how many tokens of the request are no history."""
        return fixed_tokens(self._turn, request.tools, self._persona) + self._profile.tokens

    # Where one was refused ------------------------------------------------------------------------

    def goes_without(self, error: ModelLacksAbility, retries: Retries) -> bool:
        """Return whether the next request can go without what the model turned out to lack.

        A form is then asked for in words, and the server's own tools are not offered; the client's are what
        the turn is about.
        """
        self._refused_by = error.model
        ability = error.ability
        if ability is None:
            return self.says_form and retries.count_lost_ability()
        if ability in self._lacking or (ability == "tools" and self.client_tools):
            return False
        self._lacking |= {ability}
        return True

    def shows_less(
        self, request: ModelRequest, history: History, retries: Retries, error: ContextOverflow
    ) -> bool:
        """Make the budget smaller than what `request` showed, so that the last try shows the newest message
        alone; return whether there is less to show.
        """
        self._refused_by = error.model
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
