"""What servers ask back while they are called: since 2026-07-28 in the result, before by a request.

Nobody answers at once: a person is asked, and then the call is made again with the answer. A server of the
older protocol is told that its question was dismissed; it asks the same again.
"""

import contextlib
import hashlib
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import mcp_types as types
import msgspec

from nanobot.tools.mcp.messages import CallTool, InputAnswer, InputRequest

MOST_ASKED = 8
MAX_PARAMS_BYTES = 64 * 1024
MAX_STATE_CHARS = 64 * 1024
_DIGEST_BYTES = 16
SEVERAL = (
    "the server asked the user something while several calls were under way: for which of them is unknown, so"
    " that nobody was asked; make the call again alone"
)


class UnderWay:
    """A call that a server may ask back for. `asked`: what nobody has answered yet; `is_unclear`: it asked
    something, perhaps for another call.
    """

    def __init__(self, order: CallTool) -> None:
        self.order = order
        self.asked: InputRequest | None = None
        self.is_unclear = False
        self._times: Counter[str] = Counter()

    def key_of(self, params: types.ElicitRequestParams) -> str:
        """Return what the question is known by where it is asked now. One that was asked before in this call,
        in the same words, is another one, perhaps about something else: it has not been answered by that.
        """
        key = _key(params)
        self._times[key] += 1
        times = self._times[key]
        return key if times == 1 else f"{key} {times}"


class ServerAsks:
    """Takes the requests of a server of the older protocol: the SDK's `elicitation_callback`."""

    def __init__(self) -> None:
        self._calls: list[UnderWay] = []

    @contextlib.contextmanager
    def during(self, order: CallTool) -> Iterator[UnderWay]:
        """Take what the server asks meanwhile for what it asks for this call, if there is no other."""
        call = UnderWay(order)
        self._calls.append(call)
        try:
            yield call
        finally:
            self._calls.remove(call)

    async def __call__(self, context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        """Return what was answered to this question before this call; else that it was dismissed."""
        if len(self._calls) == 1:
            return self._answer(self._calls[0], params)
        for call in self._calls:
            call.is_unclear = True
        return types.ElicitResult(action="cancel")

    def _answer(self, call: UnderWay, params: types.ElicitRequestParams) -> types.ElicitResult:
        asked = request(call.key_of(params), params)
        known = call.order.answers.get(asked.key)
        if known is not None:
            return answer(known)
        if call.asked is None:
            call.asked = asked
        return types.ElicitResult(action="cancel")


def requests_in(result: types.InputRequiredResult) -> tuple[InputRequest, ...]:
    """Return what the result asks.

    Raises:
        ValueError: something that nobody is asked, or too much.
    """
    asks = result.input_requests or {}
    if len(asks) > MOST_ASKED or len(result.request_state or "") > MAX_STATE_CHARS:
        raise ValueError(
            f"the server asks for more than {MOST_ASKED} things, or for its state of more than"
            f" {MAX_STATE_CHARS} characters to be kept; the call was not completed"
        )
    found: list[InputRequest] = []
    for key, each in asks.items():
        if not isinstance(each, types.ElicitRequest):
            raise ValueError(
                f"the server asks for {each.method}, which is not supported; the call was not completed"
            )
        found.append(request(key, each.params))
    return tuple(found)


def links_in(data: object) -> tuple[InputRequest, ...]:
    """Return which pages are to be opened first, as an error of the older protocol says."""
    required = types.ElicitationRequiredErrorData.model_validate(data)
    return tuple(request(_key(each), each) for each in required.elicitations[:MOST_ASKED])


def request(key: str, params: types.ElicitRequestParams) -> InputRequest:
    """Return the request.

    Raises:
        ValueError: it is too long.
    """
    content = params.model_dump_json(by_alias=True, exclude_none=True, exclude={"task", "meta"}).encode()
    if len(content) > MAX_PARAMS_BYTES:
        raise ValueError(f"the server asks a question of more than {MAX_PARAMS_BYTES} bytes")
    return InputRequest(key, msgspec.Raw(content))


def answer(given: InputAnswer) -> types.ElicitResult:
    """Return the answer as the protocol has it."""
    content: dict[str, str | int | float | bool | list[str] | None] | None = None
    if given.content is not None:
        content = {
            name: list(value) if isinstance(value, tuple) else value for name, value in given.content.items()
        }
    return types.ElicitResult(action="accept", content=content)


def _key(params: types.ElicitRequestParams) -> str:
    """Return what the question is known by when it is asked again: a page by where it is, as its address may
    have another number each time.
    """
    if isinstance(params, types.ElicitRequestURLParams):
        parts = urlsplit(params.url)
        said = f"{params.message}\n{parts.scheme}://{parts.netloc}{parts.path}"
    else:
        schema = msgspec.json.encode(params.requested_schema, order="sorted").decode()
        said = f"{params.message}\n{schema}"
    return hashlib.blake2b(said.encode("utf-8", "replace"), digest_size=_DIGEST_BYTES).hexdigest()
