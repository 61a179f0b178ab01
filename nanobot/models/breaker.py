"""A breaker: keeps a model that fails from being asked again and again."""

from nanobot.core.clock import Clock
from nanobot.core.errors import (
    ModelError,
    ModelMisconfigured,
    ModelRateLimited,
    ModelRefusedKey,
    ModelTimeout,
)

_FAILURES_IN_A_ROW = 3
_FIRST_REST_S, _LONGEST_REST_S = 30.0, 300.0
_LONGEST_WAIT_S = 3_600.0
_ONCE = (ModelMisconfigured, ModelRateLimited, ModelRefusedKey, ModelTimeout)
"""One of these is enough: it would come again, or would cost the next asker as much time."""


class Breaker:
    """Says whether a model is asked now.

    Three failures in a row open it, one alone where the next request would fare no better: a rate limit, a
    refused key, an unknown model, a time-out, a pause that the provider asks for. While it is open the model
    rests: 30 s at first, or as long as the provider asked for (an hour at most). Then one request is let
    through to probe: an answer closes the breaker, a failure lets the model rest for twice as long, five
    minutes at most.

    A request that is let through has a pass, to be handed back in exactly one of `answered` and `failed`, or
    in `leave`, which may also follow one of them. A pass from before the breaker opened changes nothing: the
    answer to an old request does not end a pause that the provider asked for since.

    `code`: that of the error which opened it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.code = ModelError.code
        self._generation = 0
        self._failures = 0
        self._rests_since: float | None = None
        self._rest_s = 0.0
        self._was_asked_to = False
        self._probe: int | None = None

    @property
    def rest_left_s(self) -> float:
        """For how long the model rests; 0 where it does not."""
        since = self._rests_since
        passed_s = self._clock.now() - since if since is not None else 0.0
        # A clock that was set back would let it rest without end.
        return self._rest_s - passed_s if since is not None and 0 <= passed_s < self._rest_s else 0.0

    def enter(self) -> int | None:
        """Return a pass for one request; None while the model rests or is being probed."""
        if self._rests_since is None:
            return self._generation
        if self.rest_left_s or self._probe is not None:
            return None
        return self._begin_probe()

    def insist(self) -> int | None:
        """Return a pass although the model rests; None where its provider asked for the pause."""
        if self._was_asked_to and self.rest_left_s:
            return None
        return self._generation if self._rests_since is None else self._begin_probe()

    def speaks(self, permit: int) -> None:
        """An answer has begun: others need not wait for its end."""
        if self._probe == permit:
            self._probe = None

    def answered(self, permit: int) -> None:
        """The model has answered, if only to refuse what was asked."""
        if permit == self._generation:
            self._failures, self._rest_s, self._rests_since, self._was_asked_to = 0, 0.0, None, False
        self.leave(permit)

    def failed(self, permit: int, error: ModelError) -> None:
        """The model could not answer."""
        requested_s = min(error.retry_after_s or 0.0, _LONGEST_WAIT_S)
        if permit == self._generation:
            self._failures += 1
            is_enough = isinstance(error, _ONCE) or requested_s > 0
            if is_enough or self._rests_since is not None or self._failures >= _FAILURES_IN_A_ROW:
                doubled_s = min(max(2 * self._rest_s, _FIRST_REST_S), _LONGEST_REST_S)
                self._rest(requested_s or doubled_s, error.code, is_asked_to=requested_s > 0)
        elif requested_s > self.rest_left_s:
            self._rest(requested_s, error.code, is_asked_to=True)
        self.leave(permit)

    def leave(self, permit: int) -> None:
        """The request is over, whatever came of it."""
        if self._probe == permit:
            self._probe = None

    def _begin_probe(self) -> int:
        self._generation += 1
        self._probe = self._generation
        return self._generation

    def _rest(self, seconds: float, code: str, *, is_asked_to: bool) -> None:
        self._generation += 1
        self._rests_since = self._clock.now()
        self._rest_s = seconds
        self.code = code
        self._was_asked_to = is_asked_to
