"""A chain of models that is one model: where the first cannot answer, the next one does."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from copy import copy

import msgspec

from nanobot.core.clock import Clock
from nanobot.core.errors import (
    ContextOverflow,
    ModelBadAnswer,
    ModelError,
    ModelLacksAbility,
    ModelMisconfigured,
    ModelOverloaded,
    ModelRateLimited,
    ModelRefusedKey,
    ModelTimeout,
    ModelUnavailable,
    ModelUnreachable,
)
from nanobot.core.event import Delta, ModelChosen
from nanobot.core.message import Message, PassedOver
from nanobot.core.model import Ability, AnswerTooLong, Model, ModelRequest
from nanobot.models.breaker import Breaker
from nanobot.models.needs import Needs

MOST_MODELS = 8
_OUTAGES = (
    ModelBadAnswer,
    ModelMisconfigured,
    ModelOverloaded,
    ModelRateLimited,
    ModelRefusedKey,
    ModelTimeout,
    ModelUnavailable,
    ModelUnreachable,
)
"""Failures that are the provider's: another one may answer."""


class ChainLink(msgspec.Struct, frozen=True):
    """A model of a chain. Chains that share a model share its link, and with it the breaker."""

    model: Model
    breaker: Breaker


class FallbackModel:
    """Answers as the first of `links`, or as the next one that can where it cannot.

    Another model is asked where one is unavailable, overloaded, too slow, over its rate or quota, where it
    refuses the key, has no model of the name, or lacks what the request needs; where the request is too large
    for one, only models with a larger window are asked. A request that is refused for what it says is not
    sent elsewhere. Models that take all that the request shows (images, recordings, tools, the output
    format) come first, those that failed a moment ago (`breaker`) last. Once `budget_s` are over, no other
    model is asked.

    Nothing is switched after the first delta: the error then says in `passed_over` which model broke off, and
    a request that carries this is sent to another one first.
    """

    def __init__(self, links: Sequence[ChainLink], clock: Clock, *, budget_s: float) -> None:
        self._links = tuple(links)
        self._first = self._links[0].model
        self._clock = clock
        self._budget_s = budget_s

    @property
    def name(self) -> str:
        """The name of the first model."""
        return self._first.name

    @property
    def models(self) -> tuple[Model, ...]:
        """The models, in the order in which they are asked."""
        return tuple(link.model for link in self._links)

    @property
    def context_tokens(self) -> int:
        """The window of the first model; where another has a smaller one, less is shown to that one."""
        return self._first.context_tokens

    @property
    def abilities(self) -> frozenset[Ability]:
        """What any of the models can do."""
        return frozenset().union(*(link.model.abilities for link in self._links))

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelChosen | Delta | Message, None]:
        """Yield which model is asked, then what it says; again where another one is asked in its place.

        Raises:
            ModelError: none of them has answered. The error is the last one, or an earlier one where that one
                may pass or the request can be changed.
        """
        search = _Search(self._links, request, self._clock, self._budget_s)
        for link, permit in search.candidates():
            model, breaker = link.model, link.breaker
            yield ModelChosen(model.name, search.passed_over_by(model))
            stream = model.stream(search.request_for(model))
            has_begun = False
            try:
                async for item in stream:
                    if isinstance(item, Message):
                        breaker.answered(permit)
                        passed_over = search.passed_over_by(model)
                        yield msgspec.structs.replace(
                            item, model=item.model or model.name, passed_over=passed_over
                        )
                        return
                    if not has_begun:
                        has_begun = True
                        breaker.speaks(permit)
                    yield item
                raise ModelBadAnswer(f"{model.name} ended without a message")
            except AnswerTooLong as error:
                breaker.answered(permit)
                error.answer = msgspec.structs.replace(error.answer, passed_over=search.passed_over_by(model))
                raise
            except ModelError as error:
                is_outage = isinstance(error, _OUTAGES)
                if is_outage:
                    breaker.failed(permit, error)
                else:
                    # The provider is there: it knows this request too well.
                    breaker.answered(permit)
                search.note(model, error)
                goes_on = is_outage or isinstance(error, ContextOverflow | ModelLacksAbility)
                if has_begun or not goes_on:
                    raise search.explained(error, model) from None
            finally:
                breaker.leave(permit)
                await stream.aclose()
        raise search.failure()

    async def warm(self) -> None:
        """Prepare the first model; the others once they are needed."""
        await self._first.warm()

    async def check(self) -> None:
        """Return where one of the models could answer now.

        Raises:
            ModelError: why the first could not.
        """
        failure: ModelError | None = None
        for model in self.models:
            try:
                await model.check()
            except ModelError as error:
                failure = failure or error
            else:
                return
        if failure is not None:
            raise failure

    async def close(self) -> None:
        """Close every model of the chain."""
        for model in self.models:
            await model.close()


class _Search:
    """One request on its way through a chain: which models are still to be asked, and what became of the
    others.
    """

    def __init__(
        self, links: tuple[ChainLink, ...], request: ModelRequest, clock: Clock, budget_s: float
    ) -> None:
        self._links = links
        self._request = request
        self._clock = clock
        self._ends_at = clock.now() + budget_s
        self._needs = Needs(request)
        self._failed = {each.model: each for each in request.passed_over}
        self._errors: list[tuple[Model, ModelError]] = []
        self._too_small = 0

    @property
    def passed_over(self) -> tuple[PassedOver, ...]:
        return tuple(self._failed.values())

    def passed_over_by(self, model: Model) -> tuple[PassedOver, ...]:
        """Return those that did not answer before `model`; none where it is the first."""
        return self.passed_over if model is not self._links[0].model else ()

    def candidates(self) -> Iterator[tuple[ChainLink, int]]:
        """Yield the models to ask, each with the pass of its breaker; those that rest come last, and only
        where their provider did not ask for the pause.
        """
        failed_before = self._failed.copy()
        ordered = sorted(
            self._links,
            key=lambda link: (link.model.name in failed_before, len(self._needs.lacking(link.model))),
        )
        resting: list[ChainLink] = []
        for link in ordered:
            if self._is_over():
                return
            if not self._can_be_asked(link.model):
                continue
            if (permit := link.breaker.enter()) is not None:
                self._note_lacking_before(link)
                yield link, permit
                continue
            resting.append(link)
            self._pass_over(link.model, link.breaker.code, _rest(link), was_asked=False)
        for link in resting:
            if self._is_over():
                return
            if (permit := link.breaker.insist()) is not None:
                yield link, permit
            else:
                left_s = link.breaker.rest_left_s
                self._errors.append((link.model, ModelRateLimited(_rest(link), retry_after_s=left_s)))

    def request_for(self, model: Model) -> ModelRequest:
        """Return the request as the model is to see it: what another refused is no fact about this one."""
        request = self._request
        if request.refused_by in (None, model.name) or not (request.lacking or request.window_tokens):
            return request
        return msgspec.structs.replace(request, lacking=frozenset(), window_tokens=None)

    def note(self, model: Model, error: ModelError) -> None:
        """Keep in mind that the model did not answer."""
        self._errors.append((model, error))
        self._pass_over(model, error.code, error.message, was_asked=True)
        if isinstance(error, ContextOverflow):
            self._too_small = max(self._too_small, model.context_tokens)

    def failure(self) -> ModelError:
        """Return the error of a search that has come to its end."""
        outage = next((error for _, error in reversed(self._errors) if error.retryable), None)
        for model, error in self._errors:
            if isinstance(error, ContextOverflow) or (
                isinstance(error, ModelLacksAbility) and error.ability is not None
            ):
                explained = self.explained(error, model)
                explained.instead_of = outage
                return explained
        model, error = next((each for each in reversed(self._errors) if each[1].retryable), self._errors[-1])
        explained = self.explained(error, model)
        if explained.retry_after_s is not None:
            waits = (each.retry_after_s for _, each in self._errors if each.retry_after_s is not None)
            explained.retry_after_s = min(waits)
        return explained

    def explained(self, error: ModelError, model: Model) -> ModelError:
        """Return the error with what became of the other models."""
        # A model may raise the same error again.
        error = copy(error)
        error.model = model.name
        error.passed_over = self.passed_over
        others = [f"{each.model}: {each.code}" for each in self.passed_over if each.model != model.name]
        if others:
            error.message = f"{error.message} (before it: {', '.join(others)})"
        return error

    def _can_be_asked(self, model: Model) -> bool:
        if self._too_small and model.context_tokens <= self._too_small:
            return False
        error = self._needs.unmet_by(model)
        if error is None and model is not self._links[0].model:
            # The request was made for the window of the first.
            error = self._needs.overflow_of(model)
        if error is None:
            return True
        self._errors.append((model, error))
        self._pass_over(model, error.code, error.message, was_asked=False)
        return False

    def _note_lacking_before(self, link: ChainLink) -> None:
        """Note the models that stand before `link` in the chain, and lack what it has."""
        for before in self._links[: self._links.index(link)]:
            if before.model.name not in self._failed and (lacking := self._needs.lacking(before.model)):
                reason = f"{before.model.name} lacks {', '.join(sorted(lacking))}"
                self._pass_over(before.model, ModelLacksAbility.code, reason, was_asked=False)

    def _pass_over(self, model: Model, code: str, reason: str, *, was_asked: bool) -> None:
        # At the end, even where it has failed before.
        self._failed.pop(model.name, None)
        self._failed[model.name] = PassedOver(model.name, code, reason, was_asked)

    def _is_over(self) -> bool:
        return bool(self._errors) and self._clock.now() >= self._ends_at


def _rest(link: ChainLink) -> str:
    left_s = link.breaker.rest_left_s
    why = f"is not asked for another {left_s:.0f} s" if left_s else "is being tried by another request"
    return f"{link.model.name} {why} after {link.breaker.code}"
