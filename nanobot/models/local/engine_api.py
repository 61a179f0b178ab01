"""What the engine offers beside chat: its template, its tokenizer, and the state of a slot as a file.

Source: https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from nanobot.core.errors import ModelBadAnswer
from nanobot.models.address import Address, error_source
from nanobot.models.http import ProviderConnection, Timeouts
from nanobot.models.local.process import Endpoint
from nanobot.models.openai.request import OpeningMessage
from nanobot.models.refusals import RequestFailed
from nanobot.models.transport import DIRECT

_MAX_BODY_BYTES = 1 << 20
_ANSWER_S = 300.0
_READ_S = 1_800.0
"""How long the reading of a prompt may take: on a busy machine, what is broken off is begun anew."""


class EngineApi:
    """The engine at `endpoint`. `close` it in any case.

    All methods raise `ModelError` where the engine does not do what is asked.
    """

    def __init__(self, name: str, endpoint: Endpoint) -> None:
        address = Address(endpoint.base_url.removesuffix("/v1"))
        self._name = name
        self._address = address
        source = error_source(name, "local", address, endpoint.api_key, DIRECT)
        self._connection = ProviderConnection(source, timeouts=Timeouts(), socket_path=endpoint.socket_path)

    async def close(self) -> None:
        await self._connection.close()

    async def rendered(self, messages: Sequence[OpeningMessage]) -> str:
        """Return the prompt that the engine makes of `messages`."""
        return str((await self._post("/apply-template", {"messages": messages}))["prompt"])

    async def tokens(self, prompt: str) -> tuple[int, ...]:
        """Return the tokens of a prompt."""
        answer = await self._post("/tokenize", {"content": prompt, "add_special": True})
        return msgspec.convert(answer["tokens"], tuple[int, ...])

    async def read(self, tokens: Sequence[int], slot: int) -> None:
        """Have the engine read `tokens` into a slot, and write nothing. Takes as long as that takes."""
        await self._post(
            "/completion",
            {"prompt": tokens, "n_predict": 0, "id_slot": slot, "cache_prompt": True},
            within_s=_READ_S,
        )

    async def save(self, slot: int, file: str) -> None:
        """Write the state of a slot to `file` in the engine's folder for slots."""
        await self._post(f"/slots/{slot}", {"filename": file}, "action=save")

    async def restore(self, slot: int, file: str) -> int:
        """Read the state of a slot from such a file; return how many tokens it has read."""
        return int((await self._post(f"/slots/{slot}", {"filename": file}, "action=restore"))["n_restored"])

    async def erase(self, slot: int) -> None:
        """Forget what a slot has read."""
        await self._post(f"/slots/{slot}", {}, "action=erase")

    async def _post(self, path: str, body: object, query: str = "", *, within_s: float = _ANSWER_S) -> Any:
        deadline = asyncio.get_running_loop().time() + within_s
        try:
            response = await self._connection.post(
                self._address.url(path, query), msgspec.json.encode(body), deadline
            )
            answer = await response.read_error(within_s, _MAX_BODY_BYTES)
            if response.status != 200:
                raise ModelBadAnswer(f"{self._name}: the engine answered {response.status} at {path}")
            return msgspec.json.decode(answer)
        except RequestFailed as failed:
            raise failed.error from None
        except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
            raise ModelBadAnswer(f"{self._name}: the engine's answer at {path} cannot be read") from error
