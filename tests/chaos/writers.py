"""Clients: writers that append token after token through the stock `openai` SDK, and go on with one until its
fate is told.

Three kinds, all seen in the wild: `keyed` sends an Idempotency-Key and repeats after the SDK's own retries
are used up; `streaming` does the same and reads a stream; `plain` sends no key and leaves all repeating to
the SDK.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Literal

import httpx2
import msgspec
import openai

from tests.chaos.tokens import Token, key_name, tokens_in

Kind = Literal["keyed", "streaming", "plain"]
_PAUSE_S = 0.1
_REST_OF_AN_INTERRUPTER_S = (0.3, 1.5)
_NO_END = 1_000_000


class Wish(msgspec.Struct):
    """A token and what its writer was told of it:

    `done` (200), `refused` (an error that no repeating changes), or nothing yet.
    """

    token: str
    kind: Kind
    when_busy: str
    told: Literal["done", "refused", "nothing"] = "nothing"
    code: str | None = None
    answer: str = ""
    turn_id: str | None = None
    tries: int = 0
    was_cut: bool = False


class Writer(threading.Thread):
    """One writer on one key.

    It takes up no new token once `enough` is set, and gives up the last one after `deadline`.
    """

    def __init__(
        self,
        token: Callable[[int], Token],
        kind: Kind,
        when_busy: str,
        *,
        url: str,
        timeout_s: float,
        seed: str,
        enough: threading.Event,
    ) -> None:
        first = token(1)
        super().__init__(name=f"writer-{first.key}-{first.writer}", daemon=True)
        self.wishes: list[Wish] = []
        self.troubles: Counter[str] = Counter()
        self.deadline = float("inf")
        self._token = token
        self._kind: Kind = kind
        self._when_busy = when_busy
        self._enough = enough
        self._random = random.Random(seed)
        self._failed_as: tuple[str | None, int] | None = None
        retries = _NO_END if kind == "plain" else 2
        self._client = openai.OpenAI(base_url=url, api_key="none", timeout=timeout_s, max_retries=retries)

    def run(self) -> None:
        number = 0
        with self._client:
            while not self._enough.is_set():
                number += 1
                token = self._token(number)
                wish = Wish(str(token), self._kind, self._when_busy)
                self.wishes.append(wish)
                self._see_through(wish, key_name(token.key))
                if self._when_busy == "interrupt":
                    self._enough.wait(self._random.uniform(*_REST_OF_AN_INTERRUPTER_S))

    def _see_through(self, wish: Wish, key: str) -> None:
        headers = {"x-session-key": key, "x-when-busy": self._when_busy}
        if self._kind != "plain":
            headers["Idempotency-Key"] = f"wish-{wish.token}"
        while wish.told == "nothing" and time.monotonic() < self.deadline:
            wish.tries += 1
            try:
                wish.answer = (
                    self._stream(wish, headers) if self._kind == "streaming" else self._ask(wish, headers)
                )
                wish.told = "done"
            except openai.APIStatusError as error:
                self._hear(error, wish)
            except (openai.APIError, httpx2.HTTPError) as error:
                self.troubles[type(error).__name__] += 1
                if type(error) is openai.APIError:
                    self._look(wish, str(error.code))
            if wish.told == "nothing":
                time.sleep(_PAUSE_S * self._random.uniform(0.5, 1.5))

    def _hear(self, error: openai.APIStatusError, wish: Wish) -> None:
        wish.code = error.code
        wish.turn_id = error.response.headers.get("x-turn-id", wish.turn_id)
        self.troubles[f"{error.status_code} {error.code}"] += 1
        if error.response.headers.get("x-should-retry") == "false" or error.status_code in (400, 404, 422):
            wish.told = "refused"

    def _look(self, wish: Wish, code: str) -> None:
        """A stream that ends with an error cannot say whether repeating helps: it did not where the turn
        stands as it stood before.
        """
        try:
            turn = self._client.get(f"/turns/{wish.turn_id}", cast_to=httpx2.Response).json()
        except (openai.APIError, httpx2.HTTPError):
            return
        stands = (wish.turn_id, turn["attempt"])
        if turn["status"] in ("failed", "cancelled"):
            if self._failed_as == stands:
                wish.told, wish.code = "refused", code
            self._failed_as = stands

    def _ask(self, wish: Wish, headers: dict[str, str]) -> str:
        response = self._client.chat.completions.with_raw_response.create(
            model="nanobot",
            messages=[{"role": "user", "content": f"Note {wish.token}."}],
            extra_headers=headers,
        )
        wish.turn_id = response.headers["x-turn-id"]
        choice = response.parse().choices[0]
        wish.was_cut = choice.finish_reason == "length"
        return choice.message.content or ""

    def _stream(self, wish: Wish, headers: dict[str, str]) -> str:
        response = self._client.chat.completions.with_raw_response.create(
            model="nanobot",
            messages=[{"role": "user", "content": f"Note {wish.token}."}],
            extra_headers=headers,
            stream=True,
        )
        wish.turn_id = response.headers["x-turn-id"]
        pieces: list[str] = []
        finished = False
        with response.parse() as chunks:
            for chunk in chunks:
                for choice in chunk.choices:
                    pieces.append(choice.delta.content or "")
                    finished = finished or choice.finish_reason is not None
                    wish.was_cut = choice.finish_reason == "length"
        if not finished:
            self.troubles["stream without an end"] += 1
            raise openai.APIConnectionError(
                message="the stream ended early", request=response.http_response.request
            )
        return "".join(pieces)


def misanswered(wish: Wish) -> bool:
    """Whether the answer is that of another wish; of one that joined another turn, any answer will do. One
    that the model was cut short in, again and again, may have come to an end before it came to its token.
    """
    if wish.told != "done" or wish.when_busy == "steer":
        return False
    found = [str(token) for token in tokens_in(wish.answer)]
    return found != [wish.token] and not (wish.was_cut and not found)
