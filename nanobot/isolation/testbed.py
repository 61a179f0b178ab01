"""What the tenants of an audit share: the client, the model, the routes, and the requests that go on."""

import asyncio
from collections.abc import Coroutine, Iterable

from nanobot.isolation.canaries import Canaries
from nanobot.isolation.client import InspectingClient
from nanobot.isolation.recording_model import RecordingModel


class Testbed:
    """The audited server, as its tenants use it. `routes`: the operations it offers, as `METHOD /path`.

    Requests that are started here go on, owned by `group`, until `release` of their owner.
    """

    def __init__(
        self,
        client: InspectingClient,
        canaries: Canaries,
        model: RecordingModel,
        routes: Iterable[str],
        group: asyncio.TaskGroup,
    ) -> None:
        self.client = client
        self.canaries = canaries
        self.model = model
        self.routes = tuple(routes)
        self._group = group
        self._turns: dict[int, list[asyncio.Task[None]]] = {}
        self._watches: dict[int, asyncio.Task[None]] = {}

    def start_turn(self, owner: int, request: Coroutine[None, None, None]) -> None:
        """Run a request whose turn waits for the owner's gate."""
        self._turns.setdefault(owner, []).append(self._group.create_task(request))

    def start_watch(self, owner: int, request: Coroutine[None, None, None]) -> None:
        """Run a request that watches the owner's session."""
        self._watches[owner] = self._group.create_task(request)

    async def release(self, owner: int) -> None:
        """Open the owner's gate, and return once its turns have ended and its session is watched no more."""
        self.model.gate(owner).set()
        for task in self._turns.pop(owner, ()):
            await task
        watch = self._watches.pop(owner, None)
        if watch is not None:
            watch.cancel()
            await asyncio.wait((watch,))
