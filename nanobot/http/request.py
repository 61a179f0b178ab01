"""A request on its way through the server, as the guard hands it to an operation."""

from typing import Literal

import msgspec
from starlette.types import Receive, Scope

from nanobot.access.caller import EVERYBODY, Caller, Right
from nanobot.http.bodies import BodyShare
from nanobot.http.network import network_of
from nanobot.http.query import Query

Method = Literal["GET", "POST", "DELETE", "PUT", "PATCH"]
RawHeaders = tuple[tuple[bytes, bytes], ...]


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One method on one path. `right`: what the API key must be allowed; None: the route needs no key."""

    method: Method
    path: str
    right: Right | None


class Request:
    """One request, with what the server has learned of it so far.

    `caller`: who sent it, once its API key is known to be valid. `route`: where it leads; None until it is
    found. `path_params`: the parts of the path that the route names, decoded. `session_key`: the conversation
    it is about, for the audit log; None where no operation has said so. `answer_headers`: what its answer
    says besides, errors included. `body_share`: what its body counts among all bodies; None until it has a
    large one. `is_poll`: it is asked again and again, and this answer had nothing new. `headers`: by their
    names in lower case; of one that comes several times the last counts. `path`: as it was sent,
    percent-encoded. `address`: the client's, None where it has none (a socket of this machine).
    """

    __slots__ = (
        "address",
        "answer_headers",
        "body_share",
        "caller",
        "headers",
        "id",
        "is_poll",
        "method",
        "path",
        "path_params",
        "receive",
        "route",
        "scope",
        "session_key",
    )

    def __init__(self, scope: Scope, receive: Receive, id: str = "") -> None:  # noqa: A002 - as everywhere
        self.scope = scope
        self.receive = receive
        self.id = id
        self.caller: Caller = EVERYBODY
        self.route: Route | None = None
        self.path_params: dict[str, str] = {}
        self.session_key: str | None = None
        self.answer_headers: RawHeaders = ()
        self.body_share: BodyShare | None = None
        self.is_poll = False
        # No properties, as each request is asked for these several times.
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.method: str = scope["method"]
        self.path: str = scope["raw_path"].decode("latin-1")
        client = scope.get("client")
        self.address: str | None = client[0] if client else None

    @property
    def payer(self) -> str:
        """For whom what the request takes is counted: its API key, or where it has none its network."""
        return self.caller.key_id or (network_of(self.address) if self.address else "")

    def body_is_done(self) -> None:
        """Count the body no longer: nothing holds it any more."""
        if self.body_share is not None:
            self.body_share.give_back()

    def query(self) -> Query:
        """Return the query.

        Raises:
            InvalidRequest: it is not percent-encoded UTF-8, or has too many fields.
        """
        return Query(self.scope["query_string"])
