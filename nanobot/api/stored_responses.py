"""Responses that there are: shown, streamed again, stopped, deleted."""

from collections.abc import Awaitable, Callable

import msgspec
from starlette.types import Send

from nanobot.access.caller import Caller
from nanobot.api.paging import page_of
from nanobot.api.settings import ApiSettings
from nanobot.api.turn_request import check_streaming
from nanobot.api.wire.items import ItemRef, items, response_id, turn_of
from nanobot.api.wire.lists import encode
from nanobot.api.wire.response_answer import Echo, ResponseDeleted, response_object
from nanobot.api.wire.response_events import ResponseEvents
from nanobot.core.errors import ResponseNotFound, TurnNotFound
from nanobot.core.responses import Response
from nanobot.core.store import Store
from nanobot.http.request import Request
from nanobot.http.respond import answer
from nanobot.http.stream import Stream
from nanobot.submit.submitter import Submitter

_decode_echo = msgspec.json.Decoder(Echo).decode


class StoredResponses:
    """What can be done with responses that there are."""

    def __init__(self, store: Store, submitter: Submitter, settings: ApiSettings) -> None:
        self._store = store
        self._submitter = submitter
        self._settings = settings

    async def find(self, id_: str, caller: Caller, param: str | None = None) -> Response:
        """Return the response with that id.

        Raises:
            ResponseNotFound: there is none that the caller may see; `param` is the field that names it.
        """
        # One error for every reason: it must not tell whether the response exists in another session.
        missing = ResponseNotFound(f"no response {id_[:80]!r} here", param=param)
        turn_id = turn_of(id_)
        if turn_id is None:
            raise missing
        try:
            response = await self._store.response(turn_id)
        except (ResponseNotFound, TurnNotFound):
            raise missing from None
        if not caller.sees(response.state.session_key):
            raise missing
        return response

    async def show(self, request: Request, send: Send) -> None:
        """GET /v1/responses/{response_id}, as it stands or as a stream."""
        response = await self._asked_for(request)
        query = request.query()
        if query.one_of("stream", ("true", "false"), default="false") == "false":
            request.is_poll = response.state.end is None
            await answer(send, 200, _shown(response))
            return
        check_streaming(self._settings)
        state = response.state
        events = ResponseEvents(
            state.id,
            _decode_echo(response.echo),
            inputs=len(response.input),
            ended_at=end_time(self._store, state.id),
            # The largest whole number that JavaScript counts exactly.
            after=query.whole("starting_after", default=-1, low=0, high=2**53),
            begins_at_once=True,
        )
        stream = Stream(request, events, send, (("x-turn-id", state.id),), ping_s=self._settings.ping_s)
        await stream.run(self._submitter.follow(state), is_over=state.end is not None)

    async def cancel(self, request: Request, send: Send) -> None:
        """POST /v1/responses/{response_id}/cancel: answers once the response has ended."""
        response = await self._asked_for(request)
        await self._stop(response, "cancelled by request")
        await answer(send, 200, _shown(await self._store.response(response.state.id)))

    async def delete(self, request: Request, send: Send) -> None:
        """DELETE /v1/responses/{response_id}: it is not found any more; what was said stays in the
        conversation.
        """
        response = await self._asked_for(request)
        await self._stop(response, "its response was deleted")
        await self._store.forget_response(response.state.id)
        await answer(send, 200, encode(ResponseDeleted(id=response_id(response.state.id))))

    async def input_items(self, request: Request, send: Send) -> None:
        """GET /v1/responses/{response_id}/input_items"""
        response = await self._asked_for(request)
        shown = [
            item
            for number, message in enumerate(response.input)
            for item in items(message, ItemRef(response.state.id, number))
        ]
        await answer(send, 200, encode(page_of(shown, request.query())))

    async def _asked_for(self, request: Request) -> Response:
        return await self.find(request.path_params["response_id"], request.caller)

    async def _stop(self, response: Response, why: str) -> None:
        if response.state.end is None and await self._store.cancel(response.state.id, why):
            await self._store.ended(response.state.id)


def end_time(store: Store, turn_id: str) -> Callable[[], Awaitable[float | None]]:
    """Return how to look up when the turn ended; None where it was deleted meanwhile."""

    async def ended_at() -> float | None:
        try:
            return (await store.turn(turn_id)).ended_at
        except TurnNotFound:
            return None

    return ended_at


def _shown(response: Response) -> bytes:
    return encode(response_object(response.state, _decode_echo(response.echo), inputs=len(response.input)))
