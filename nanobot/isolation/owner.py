"""One owner's requests, with a secret of their own in each."""

from http import HTTPStatus

from nanobot.isolation.attacker import own_sessions
from nanobot.isolation.client import Attempt, Reply, Requester, path_of
from nanobot.isolation.tenants import Resources, Tenant
from nanobot.isolation.testbed import Testbed


class Owner:
    """Whoever has a tenant's keys for a time, with a `number` that no other owner has. `resources`: what
    others could know of their use of the server.
    """

    def __init__(self, tenant: Tenant, number: int, testbed: Testbed) -> None:
        self.tenant = tenant
        self.number = number
        self.testbed = testbed
        self.requester = Requester(f"session {tenant.number}", tenant.token, number)
        self.own = own_sessions(tenant)
        self.resources = Resources(tenant.key)

    def canary(self, channel: str) -> str:
        """Return a new secret of this owner."""
        return self.testbed.canaries.create(self.number, channel)

    async def send(self, route: str, body: bytes = b"", *, key: str | None = None, **more: str) -> Reply:
        """Send a request about one of the tenant's own sessions."""
        key = key or self.tenant.key
        target = route.partition(" ")[2].replace("{key}", path_of(key))
        headers = {name.replace("_", "-"): value for name, value in more.items()}
        if "{key}" not in route and (key != self.tenant.key or self.own.sends_key):
            headers["x-session-key"] = key
        reply = await self.testbed.client.send(
            self.requester, Attempt(route=route, target=target, headers=headers, body=body)
        )
        self._add_turn(reply)
        return reply

    async def do(self, route: str, body: bytes = b"", *, key: str | None = None, **more: str) -> Reply:
        """Send a request that must succeed, otherwise a secret is not where the audit assumes it."""
        reply = await self.send(route, body, key=key, **more)
        if reply.status != HTTPStatus.OK:
            self.testbed.client.report(
                "not seeded", route, self.requester.name, detail=f"{reply.status}: {reply.text[:300]}"
            )
        return reply

    def _add_turn(self, reply: Reply) -> None:
        turn = reply.headers.get("x-turn-id")
        if turn:
            self.testbed.canaries.add_ids(self.number, [turn])
            if len(self.resources.turns) < 2 or (reply.status >= 400 and len(self.resources.turns) < 3):
                self.resources.turns.append(turn)

    async def read(self, route: str, parameter: str, name: str, query: str = "") -> Reply:
        """Return what stands at the route for `name`, in the place of `parameter`."""
        target = route.partition(" ")[2].replace(parameter, path_of(name)) + query
        return await self.testbed.client.send(
            self.requester, Attempt(route=route, target=target, headers=self.own.headers())
        )
