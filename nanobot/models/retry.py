"""When a failed request to a provider is sent again, and after which pause."""

import random

from nanobot.core.clock import Clock
from nanobot.models.refusals import RequestFailed

_FIRST_PAUSE_S, _MAX_PAUSE_S = 0.5, 8.0


class Backoff:
    """How often one request may still be sent again: `left`.

    The pauses between grow exponentially, with full jitter, unless the provider asks for another one, of at
    most `max_pause_s`. Set `left` to 0 once a part of the answer was passed on: it cannot be taken back.
    """

    def __init__(self, clock: Clock, random: random.Random, left: int, max_pause_s: float) -> None:
        self.left = left
        self._max_pause_s = max_pause_s
        self._clock = clock
        self._random = random
        self._pause_s = _FIRST_PAUSE_S

    async def pause(self, failed: RequestFailed) -> None:
        """Return when the request may be sent again.

        Raises:
            ModelError: it may not: the failure is final, no retries are left, or the provider asks for a
                longer pause than that, which is left to the caller.
        """
        requested_s = failed.error.retry_after_s or 0.0
        if not failed.may_retry or self.left <= 0 or requested_s > self._max_pause_s:
            raise failed.error from None
        self.left -= 1
        jittered_s = self._random.uniform(0.0, self._pause_s)
        self._pause_s = min(self._pause_s * 2, _MAX_PAUSE_S)
        await self._clock.sleep(requested_s or jittered_s)
