"""The agent: what a turn may show, offer and use, before its steps are run."""

import os
from collections.abc import Sequence
from functools import partial
from typing import TypeVar

import msgspec

from nanobot.agent.budget import TurnBudget
from nanobot.agent.limits import AgentSettings, Show
from nanobot.agent.long_turn import LongTurn, StepSummaries
from nanobot.agent.model_call import ModelCall, TakeBack
from nanobot.agent.offer import Offer, Offers
from nanobot.agent.permissions import Permissions, TurnPermissions
from nanobot.agent.recaller import Recaller
from nanobot.agent.skills import SkillIndexes
from nanobot.agent.steps import TurnSteps
from nanobot.agent.token_ratios import LEAST, TokenRatios
from nanobot.agent.tool_calls import ToolCalls, what_was_read
from nanobot.agent.toolset import Toolset
from nanobot.agent.transcript import Emit, TurnTranscript
from nanobot.agent.turn_requests import TurnRequests, window_set
from nanobot.context.build import (
    further_tools,
    hint_of,
    history_budget,
    least_history_budget,
    offered_tools,
    tools_size,
)
from nanobot.context.files import uncut_excess
from nanobot.context.history import is_plain, left_out, refuse_too_long
from nanobot.context.profile import NO_PROFILE, Profile, profile
from nanobot.context.results import result_budget, results_excess
from nanobot.context.side_task import is_side_task
from nanobot.core.audience import Audience
from nanobot.core.clock import Clock
from nanobot.core.compaction import StepSummary
from nanobot.core.cut_result import READ_RESULT
from nanobot.core.dispatch import History, LeftOut
from nanobot.core.errors import ContextOverflow
from nanobot.core.message import (
    ContextView,
    Message,
    Text,
    ToolCall,
    estimate_tokens,
)
from nanobot.core.model import EVERYTHING, Ability, Model
from nanobot.core.observer import NULL_OBSERVER, Observer
from nanobot.core.output import OutputSchemas
from nanobot.core.persona import PLAIN, Persona, Personas
from nanobot.core.policy import Policy
from nanobot.core.turn import Turn

_FITS_ANY_WINDOW = 200
_CHARS_A_TOKEN = 4


class _TurnTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What one turn may show, offer and use. `abilities`: those of its model. `budget_tokens`: how much of
    the conversation is shown.
    """

    persona: Persona
    abilities: frozenset[Ability]
    toolset: Toolset
    permissions: TurnPermissions
    offer: Offer
    profile: Profile
    budget_tokens: int
    is_side_task: bool


class Agent:
    """Answers turns with a model and a set of tools.

    `secret`: what the names of sessions are made with that models get; by default one of its own.
    `personas`: who answers in which sessions. `recaller`: looks for earlier messages that the model does not
    see. `permissions`: decides which calls run. `skills`: what models are told of skills.
    """

    def __init__(
        self,
        toolset: Toolset,
        clock: Clock,
        settings: AgentSettings,
        schemas: OutputSchemas,
        observer: Observer = NULL_OBSERVER,
        *,
        secret: bytes = b"",
        personas: Personas | None = None,
        recaller: Recaller | None = None,
        permissions: Permissions | None = None,
        skills: SkillIndexes | None = None,
    ) -> None:
        # By default what the tools say of themselves holds, and nobody can be asked.
        self._permissions = permissions or Permissions(Policy(), None, clock)
        self._personas = personas or Personas()
        self._secret = secret or os.urandom(32)
        self._schemas = schemas
        self._observer = observer
        self._toolset = toolset
        self._clock = clock
        self._settings = settings
        self._recaller = recaller
        self._offers = Offers(
            toolset, most_tokens=settings.tools_tokens, window_tokens=settings.window_tokens
        )
        self._skills = skills
        self._ratios = TokenRatios()

    @property
    def window_tokens(self) -> int:
        """The most history that any turn may need."""
        return int(self._settings.window_tokens / LEAST)

    @property
    def tools_tokens(self) -> int:
        """How much of the prompt the tools take that a model is offered which can use all of them."""
        return tools_size(self._offers.of(PLAIN, EVERYTHING).always)

    def warm(self) -> None:
        """Describe the tools now, rather than in the first turn."""
        self._offers.of(PLAIN, EVERYTHING)

    def least_budget(self, model: Model) -> int:
        """Return how many tokens of history any turn may show to the model: a lower bound of `budget`."""
        ratio = self._ratios.of(model.name)
        return int(least_history_budget(model.context_tokens, self._settings.window_tokens) / ratio)

    def budget(self, turn: Turn, model: Model) -> int:
        """Return how many tokens of history the turn may show to the model."""
        abilities = model.abilities
        persona = self._with_skills(self._persona_of(turn), abilities)
        offer = self._offers.of(persona, abilities, turn.account_key)
        return self._budget(turn, model, offer, persona)

    def _budget(self, turn: Turn, model: Model, offer: Offer, persona: Persona) -> int:
        window, ratio = self._settings.window_tokens, self._ratios.of(model.name)
        if ratio == 1.0:
            return history_budget(model.context_tokens, window, turn, offer.tokens, persona)
        # As tokens are estimated.
        context = int(model.context_tokens / ratio)
        return history_budget(context, int(window / ratio), turn, offer.tokens, persona)

    def _persona_of(self, turn: Turn) -> Persona:
        """Return who answers the turn, with the tools that it may be offered."""
        part = turn.delegation
        persona = self._personas.of(turn.session_key if part is None else part.session_key)
        if part is None and persona.remembers:
            return persona
        toolset = self._toolset
        # Of the tools that there are now: those of other programs come and go.
        names = frozenset(toolset.names) if part is None else toolset.delegable(part.tools)
        if not persona.remembers:
            names -= toolset.of_memory
        if persona.tools is not None:
            names &= persona.tools
        return msgspec.structs.replace(persona, tools=names)

    def _limits_of(self, turn: Turn) -> AgentSettings:
        """Return the bounds of the turn: one that does a part of another's work has a smaller budget."""
        limits, part = self._settings, turn.delegation
        if part is None:
            return limits
        return msgspec.structs.replace(
            limits,
            max_steps=min(limits.max_steps, part.max_steps),
            max_turn_tokens=_smaller(limits.max_turn_tokens, part.max_tokens),
            max_turn_s=_smaller(limits.max_turn_s, part.max_s),
        )

    def _with_skills(self, persona: Persona, abilities: frozenset[Ability]) -> Persona:
        return self._skills.told(persona, abilities) if self._skills is not None else persona

    def model_of(self, session_key: str) -> str | None:
        """Return the preset that answers in the session where nothing else names one; None: the default."""
        return self._personas.of(session_key).model

    def session_hint(self, session_key: str) -> str:
        """Return the name that models get of the session; see `ModelRequest`."""
        return hint_of(session_key, self._secret)

    def left_out(self, turn: Turn, model: Model) -> LeftOut | None:
        """Return what the turn does not show of its conversation; None where more may be of use: to find its
        question, or the ids of the calls that its client knows.
        """
        if turn.tools or turn.input[-1].role != "user":
            return None
        return partial(left_out, budget_tokens=self.budget(turn, model))

    def unloaded_tokens(self, turn: Turn, model: Model, history: History) -> int:
        """Return how many tokens of history must be loaded because files and results in `history` are not
        shown whole; 0 where it is enough.
        """
        if history.is_text or is_plain(history.messages):
            return 0
        budget_tokens = self.budget(turn, model)
        excess = self.unshown_tokens(history.messages, budget_tokens)
        if not excess or sum(map(estimate_tokens, history.messages)) - excess >= budget_tokens:
            return 0
        return budget_tokens + excess

    def unshown_tokens(self, messages: Sequence[Message], budget_tokens: int) -> int:
        """Return how many tokens the files and results in `messages` have more than what is shown of them."""
        shown = result_budget(budget_tokens, self._settings.result_share)
        return uncut_excess(messages, budget_tokens) + results_excess(messages, shown)

    async def look_back(self, turn: Turn, model: Model, messages: int) -> None:
        """Look for what the first messages of the session say about the turn, as the next turn will, whose
        text has most of its words in common with this one: what can be kept ready for it is, then.
        """
        recaller = self._recaller
        if recaller is not None and recaller.is_of_use(turn, model):
            await recaller.recall(turn, ContextView(0, messages, 0), self.budget(turn, model))

    def check_length(self, turn: Turn, model: Model) -> None:
        """Return where each new message of the turn fits the window by itself, and the instructions do.

        Raises:
            ContextOverflow
        """
        fixed = len(turn.instructions) // _CHARS_A_TOKEN
        if fixed and fixed > model.context_tokens:
            raise ContextOverflow(
                f"the instructions have about {fixed} tokens, more than the window of {model.name} "
                f"({model.context_tokens} tokens: model.context_tokens): shorten them, or choose a larger "
                "model"
            )
        for message in turn.input:
            # Short ones fit any window.
            if (
                len(message.parts) == 1
                and isinstance(message.parts[0], Text)
                and len(message.text) <= _FITS_ANY_WINDOW
            ):
                continue
            try:
                refuse_too_long(message, self.budget(turn, model))
            except ContextOverflow as error:
                raise ContextOverflow(f"{error.message} ({window_set(model, self._settings)})") from None

    async def run(
        self,
        turn: Turn,
        model: Model,
        history: History,
        *,
        produced: tuple[Message, ...],
        emit: Emit,
        show: Show,
        take_back: TakeBack,
        audience: Audience | None = None,
        summaries: StepSummaries | None = None,
        folded: StepSummary | None = None,
    ) -> None:
        """Bring the turn to its end. `history` ends with its input, followed by the messages that it
        `produced` before a restart; `folded` stands for the first of these. `audience` reads what is shown.
        `summaries`: where steps are summarised; None: those that the window does not hold are left out.

        Raises:
            ModelError: the model failed.
            NanobotError: what `emit` raises.
        """
        terms = self._terms(turn, model, history, produced)
        limits = self._limits_of(turn)
        result_tokens = result_budget(terms.budget_tokens, self._settings.result_share)
        transcript = TurnTranscript(turn, history, emit, produced=len(produced), folded=folded)
        budget = TurnBudget(turn, limits, self._clock, model.name, produced)
        # A client tells its calls apart by their ids over the whole conversation, not only within a turn.
        earlier = (*history.messages, *produced) if turn.tools else produced
        model_call = ModelCall(
            turn,
            model,
            self._requests(turn, model, terms),
            show,
            take_back,
            audience=audience,
            ratios=self._ratios,
            call_ids={part.id for message in earlier for part in message.parts if isinstance(part, ToolCall)},
            budget=budget,
            limits=self._settings,
            schemas=self._schemas,
            observer=self._observer,
        )
        tool_calls = ToolCalls(
            terms.toolset,
            turn,
            self._settings.max_calls_per_step,
            result_tokens,
            terms.permissions,
            what_was_read(turn, produced, self._toolset),
            sees_images="images" in terms.abilities,
            deferred=lambda: terms.offer.left(transcript.state.found),
            show=show,
        )
        long_turn = None
        if summaries is not None and transcript.may_fold and turn.may_cut:
            long_turn = LongTurn(
                turn,
                transcript,
                summaries,
                result_tokens=result_tokens,
                can_read_on="reading_on" in terms.abilities and READ_RESULT in terms.toolset.names,
            )
        await TurnSteps(turn, transcript, produced, model_call, tool_calls, budget, limits, long_turn).run()

    def _terms(self, turn: Turn, model: Model, history: History, produced: tuple[Message, ...]) -> _TurnTerms:
        own, abilities = self._persona_of(turn), model.abilities
        if is_side := is_side_task(turn, history, len(produced), self._toolset.names):
            # Also no skills, which a tool reads.
            own = msgspec.structs.replace(own, tools=frozenset(), remembers=False)
        toolset = self._toolset.limited_to(own.tools)
        made = [call for message in produced for call in message.tool_calls] if produced else ()
        permissions = TurnPermissions(self._permissions, turn, toolset, made)
        whole = self._with_skills(own, abilities)
        limited = permissions.limited(own)
        persona = whole if limited is own else self._with_skills(limited, abilities)
        profile = self._profile_of(turn, abilities, history) if persona.remembers else NO_PROFILE
        # As `budget` says it, whatever the policy denies.
        offer = self._offers.of(whole, abilities, turn.account_key)
        budget_tokens = self._budget(turn, model, offer, whole) - profile.tokens
        if persona is not whole or not turn.trace:
            offer = self._offers.of(persona, abilities, turn.account_key, leaves_trace=turn.trace)
        return _TurnTerms(
            persona=persona,
            abilities=abilities,
            toolset=toolset,
            permissions=permissions,
            offer=offer,
            profile=profile,
            budget_tokens=budget_tokens,
            is_side_task=is_side,
        )

    def _requests(self, turn: Turn, model: Model, terms: _TurnTerms) -> TurnRequests:
        return TurnRequests(
            turn,
            model,
            persona=terms.persona,
            tools=offered_tools(turn, terms.offer.always),
            file_tools=further_tools(turn, self._toolset.file_specs, terms.persona),
            history_tools=further_tools(turn, self._toolset.history_specs, terms.persona),
            offer=terms.offer,
            recaller=None if terms.is_side_task else self._recaller,
            profile=terms.profile,
            budget_tokens=terms.budget_tokens,
            clock=self._clock,
            limits=self._settings,
            secret=self._secret,
            is_side_task=terms.is_side_task,
        )

    def _profile_of(self, turn: Turn, abilities: frozenset[Ability], history: History) -> Profile:
        """Return what the turn's model is told of what is remembered."""
        tokens = self._settings.profile_tokens
        if not turn.trace or not tokens or not history.known.facts:
            return NO_PROFILE
        is_short = "reading_on" not in abilities
        return profile(history.known, tokens, secret=self._secret, is_short=is_short)


_Amount = TypeVar("_Amount", int, float)


def _smaller(one: _Amount, other: _Amount) -> _Amount:
    """Return the smaller of two limits, of which 0 is none."""
    return min(one, other) if one and other else max(one, other)
