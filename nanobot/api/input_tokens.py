"""POST /v1/responses/input_tokens: what a request for a response would cost to read. No model is asked.

The count is the estimate by which turns are fitted into the window of the model.
"""

import msgspec
from starlette.types import Send

from nanobot.access.caller import Caller
from nanobot.api.response_target import ResponseTarget, Targets
from nanobot.api.sealed_summaries import SummarySeal, as_messages
from nanobot.api.settings import ApiSettings
from nanobot.api.stored_responses import StoredResponses
from nanobot.api.turn_request import check_request
from nanobot.api.wire.lists import encode
from nanobot.api.wire.response_request import (
    ResponseBody,
    ResponseRequest,
    decode_response,
    parse_response,
)
from nanobot.context.build import fixed_tokens
from nanobot.core.errors import (
    ConversationNotFound,
    ItemNotFound,
    ModelNotFound,
    ResponseNotFound,
    SessionNotFound,
    UploadNotFound,
)
from nanobot.core.message import estimate_tokens
from nanobot.core.store import Store
from nanobot.core.turn import Identity, Turn
from nanobot.http.operations import Operation
from nanobot.http.request import Request
from nanobot.http.respond import answer
from nanobot.http.session_key import SESSION_KEY, KeyReader
from nanobot.submit.attachments import Attachments

_NO_RESEND = Identity(b"")


class InputTokens(msgspec.Struct, frozen=True, kw_only=True):
    object: str = "response.input_tokens"
    input_tokens: int


class Counting:
    """The route."""

    def __init__(
        self,
        store: Store,
        stored: StoredResponses,
        targets: Targets,
        attachments: Attachments,
        seal: SummarySeal,
        settings: ApiSettings,
    ) -> None:
        self._seal = seal
        self._store = store
        self._stored = stored
        self._targets = targets
        self._attachments = attachments
        self._settings = settings
        self._bodies = settings.json_bodies()
        self._keys = KeyReader(settings.session_headers)

    async def count(self, request: Request, send: Send) -> None:
        """POST /v1/responses/input_tokens"""
        caller, settings = request.caller, self._settings
        named = self._keys.named(request.headers, caller)
        decoded, _ = await self._bodies.read(request, decode_response)
        summaries = self._seal.opened(decoded.input, caller.key_id)
        referenced = await self._targets.referenced(decoded, caller)
        parsed = parse_response(decoded, referenced, summaries=as_messages(summaries))
        check_request(parsed, settings)
        target = await self._target(parsed, named, caller)
        key = target.session_key if target is not None else ""
        messages = await self._attachments.resolve((*parsed.earlier, *parsed.input), key)
        tokens = self._fixed(parsed) + sum(map(estimate_tokens, messages))
        # A client that sends its history means that one.
        if target is not None and not parsed.earlier:
            tokens += await self._told(target, parsed.previous, caller)
        await answer(send, 200, encode(InputTokens(input_tokens=tokens)))

    async def _target(
        self, parsed: ResponseRequest, named: str | None, caller: Caller
    ) -> ResponseTarget | None:
        """Return the conversation that the request means; None where it would begin one."""
        if not (parsed.conversation or parsed.previous or named or caller.session_key):
            return None
        return await self._targets.target(parsed, named, caller, _NO_RESEND)

    def _fixed(self, parsed: ResponseRequest) -> int:
        """Return what the prompt and the tools cost."""
        turn = Turn("", "", parsed.input, "api", instructions=parsed.instructions)
        own = 0 if parsed.tool_choice.mode == "required" else self._settings.tools_tokens()
        return fixed_tokens(turn, () if parsed.tool_choice.mode == "none" else parsed.tools) + own

    async def _told(self, target: ResponseTarget, previous: str | None, caller: Caller) -> int:
        """Return what the conversation has cost up to where the request follows it."""
        tip = None
        if target.after is not None and previous is not None:
            response = await self._stored.find(previous, caller)
            state = response.state
            tip = (state.first_seq or 1) + len(response.input) + len(state.messages) - 1
        try:
            rows = await self._store.messages(target.session_key, limit=1, order="desc", tip=tip)
        except SessionNotFound:
            return 0
        return rows[0].total_tokens if rows else 0


def operations(counting: Counting) -> tuple[Operation, ...]:
    """Return the operations of this module."""
    return (
        Operation(
            method="POST",
            path="/v1/responses/input_tokens",
            run=counting.count,
            summary="Count the tokens of a request",
            tag="Responses",
            right="chat",
            parameters=(SESSION_KEY,),
            body=ResponseBody,
            answers={200: InputTokens},
            errors=(ModelNotFound, ResponseNotFound, ConversationNotFound, ItemNotFound, UploadNotFound),
        ),
    )
