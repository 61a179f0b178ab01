"""`core.responses.Responses`: what is kept of turns that came as responses."""

from functools import partial

from nanobot.core.responses import Response
from nanobot.stores.sql import responses
from nanobot.stores.sql.ports.shared import Shared


class SqlResponses:
    """Responses in an SQL database."""

    def __init__(self, shared: Shared) -> None:
        self._database = shared.database
        self._clock = shared.clock
        self._limits = shared.limits

    async def response(self, turn_id: str) -> Response:
        return await self._database.read(partial(responses.find, turn_id=turn_id))

    async def forget_response(self, turn_id: str) -> None:
        await self._database.write(partial(responses.forget, turn_id=turn_id))

    async def conversation_of(self, digest: bytes) -> str | None:
        since = self._clock.now() - self._limits.retry_window_s
        return await self._database.read(partial(responses.conversation_of, digest=digest, since=since))
