"""A model on an Ollama server: its window is the server's, which cuts longer requests without a word.

The OpenAI-compatible API neither tells the window nor sets it; Ollama's own API tells it.
Source: https://github.com/ollama/ollama/blob/main/docs/api.md
"""

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncGenerator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec

from nanobot.core.clock import Clock
from nanobot.core.event import Delta, ModelChosen
from nanobot.core.late_pattern import LatePattern
from nanobot.core.message import Message
from nanobot.core.model import Ability, Model, ModelRequest
from nanobot.models.http import ProviderConnection
from nanobot.models.refusals import RequestFailed

_log = logging.getLogger(__name__)

DEFAULT_WINDOW_TOKENS = 4_096
"""What Ollama gives a model that it has not loaded yet, unless it is told otherwise."""
MIN_WINDOW_TOKENS = 1_024
_NUM_CTX = LatePattern(r"^num_ctx\s+(\d+)", re.MULTILINE)
_ASKED_EVERY_S = 30.0
_BODY_S = 5.0
_MAX_BODY_BYTES = 4 * 1024 * 1024


class OllamaModel:
    """The model `inner`, called `model` by the Ollama server at `base_url`, which is what
    `address.ollama_door` returns.

    The window is asked for when the server starts, with each check, and after the first answer, as a model
    that is not loaded has none yet. `most_tokens`: the window that the settings allow, None for any.
    """

    def __init__(
        self,
        inner: Model,
        connection: ProviderConnection,
        *,
        model: str,
        base_url: str,
        most_tokens: int | None,
        clock: Clock,
    ) -> None:
        self._inner = inner
        self._connection = connection
        self._model = model
        self._most_tokens = most_tokens
        self._clock = clock
        parts = urlsplit(base_url.strip())
        root = parts.path.removesuffix("/v1")
        self._running_url = urlunsplit(parts._replace(path=f"{root}/api/ps"))
        self._model_url = urlunsplit(parts._replace(path=f"{root}/api/show"))
        self._window_tokens: int | None = None
        self._is_loaded = False
        self._asked_at: float | None = None

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def context_tokens(self) -> int:
        if self._window_tokens is None:
            return self._inner.context_tokens
        return min(self._window_tokens, self._most_tokens or self._window_tokens)

    @property
    def abilities(self) -> frozenset[Ability]:
        return self._inner.abilities

    def stream(self, request: ModelRequest) -> AsyncGenerator[Delta | ModelChosen | Message, None]:
        """As `inner`. The first answer ends a moment later: the window is asked for meanwhile.

        Raises:
            ModelError: as `inner`.
        """
        return self._inner.stream(request) if self._is_loaded else self._first(request)

    async def warm(self) -> None:
        await self._inner.warm()
        await self._ask()

    async def check(self) -> None:
        """Return when the model could answer now.

        Raises:
            ModelError: why it could not.
        """
        await self._inner.check()
        now = self._clock.now()
        if self._asked_at is None or not 0 <= now - self._asked_at < _ASKED_EVERY_S:
            await self._ask()

    async def close(self) -> None:
        await self._connection.close()
        await self._inner.close()

    async def _first(self, request: ModelRequest) -> AsyncGenerator[Delta | ModelChosen | Message, None]:
        async with contextlib.aclosing(self._inner.stream(request)) as items:
            async for item in items:
                if isinstance(item, Message):
                    await self._ask()
                    # Asked once: a server that does not tell it now is none of Ollama's.
                    self._is_loaded = True
                yield item

    async def _ask(self) -> None:
        """Learn the window from the server, where it tells it. Raises nothing: models answer without."""
        self._asked_at = self._clock.now()
        with contextlib.suppress(
            RequestFailed, ValueError, TypeError, LookupError, AttributeError, RecursionError
        ):
            window = self._running_window(await self._read(self._running_url))
            if window is not None:
                self._is_loaded = True
            elif self._window_tokens is None:
                # Not asked later: a model that was loaded once gets the same window again.
                shown = await self._read(self._model_url, msgspec.json.encode({"model": self._model}))
                window = _configured_window(shown)
            if window is not None:
                self._use(window)

    def _running_window(self, running: Any) -> int | None:
        """Return the window of the model among those that are loaded; None where it is not."""
        names = {self._model, f"{self._model}:latest"}
        for each in running["models"] if running is not None else ():
            if each.get("name") in names or each.get("model") in names:
                window = each.get("context_length")
                return window if isinstance(window, int) else None
        return None

    async def _read(self, url: str, body: bytes | None = None) -> Any:
        """Return the JSON at `url`; None where the server has none there.

        Raises:
            RequestFailed, ValueError: it cannot be had.
        """
        if body is None:
            response = await self._connection.get(url)
        else:
            deadline = asyncio.get_running_loop().time() + _BODY_S
            response = await self._connection.post(url, body, deadline)
        read = await response.read_error(_BODY_S, _MAX_BODY_BYTES)
        return msgspec.json.decode(read) if response.status == 200 else None

    def _use(self, window: int) -> None:
        window = max(window, MIN_WINDOW_TOKENS)
        if window == self._window_tokens:
            return
        declared = self._most_tokens or self._inner.context_tokens
        _log.log(
            logging.WARNING if window < declared else logging.INFO,
            "%s: Ollama gives it a window of %d tokens, and cuts what is longer; "
            "OLLAMA_CONTEXT_LENGTH or num_ctx set a larger one there",
            self.name,
            window,
        )
        self._window_tokens = window


def _configured_window(shown: Any) -> int | None:
    """Return the window that a model will be loaded with, as `/api/show` tells it."""
    if shown is None:
        return None
    found = _NUM_CTX.search(shown.get("parameters") or "")
    return int(found[1]) if found else DEFAULT_WINDOW_TOKENS
