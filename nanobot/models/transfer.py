"""How requests reach a provider: one promise, kept by `direct` and, behind a proxy, by `proxied`."""

from collections.abc import Callable, Mapping
from typing import Literal, Protocol

from nanobot.core.audience import Audience

Stage = Literal[
    "reach the proxy",
    "pass the proxy",
    "connect",
    "connect in time",
    "trust",
    "begin",
    "understand",
    "finish",
]
"""What a transfer failed to do: connect to the proxy, be let through by it (the reason is its status), open a
connection, open it within the time that it may take, trust the certificate, get the first byte of an answer,
read it as HTTP, read it to its end.
"""


class TransferFailed(Exception):
    """A request was not answered, or not to the end; `reason` is the system's short message."""

    def __init__(self, stage: Stage, reason: str = "the connection was closed") -> None:
        super().__init__(f"could not {stage}: {reason}")
        self.stage = stage
        self.reason = reason


class Received(Protocol):
    """An answer whose head has come. `headers` are found by their names in lower case."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    async def read(self) -> bytes:
        """Return what has come of the body since the last read, once there is some; empty at the end.

        Raises:
            TransferFailed
        """
        ...

    async def gather(self, until: float, audience: Audience) -> None:
        """Return at `until` (a time of the loop's clock), when somebody begins to listen, when much has come
        or when the body has ended. May return earlier.
        """
        ...

    def buffered(self) -> bytes:
        """Return what a `read` would return without waiting. Raises nothing."""
        ...

    @property
    def has_ended(self) -> bool:
        """Whether the whole body has come and been read."""
        ...

    def on_end(self, call: Callable[[], None]) -> None:
        """Call back once the body has ended, whoever reads it."""
        ...

    def close(self) -> None:
        """Give the connection back where the answer has ended, else cut it; a running `read` fails."""
        ...


class Pool(Protocol):
    """Connections to one provider, kept for the next requests. Belongs to one event loop."""

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, deadline: float
    ) -> Received:
        """Send a request and return the answer's head. Redirects are not followed.

        Raises:
            TransferFailed
            TimeoutError: no head came by `deadline`, a time of the loop's clock.
        """
        ...

    async def close(self) -> None:
        """Cut all connections; what is under way fails. Safe to call twice."""
        ...
