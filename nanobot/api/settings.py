"""Settings that the routes share."""

from collections.abc import Callable

import msgspec

from nanobot.api.wire.request_bounds import DEFAULT_BOUNDS, RequestBounds
from nanobot.core.accounts import HistoryMode
from nanobot.core.persona import Personas
from nanobot.http.json_body import JsonBodies


class HistoryRule(msgspec.Struct, frozen=True):
    """What the messages of a request are where the session key matches `pattern`."""

    pattern: str
    mode: HistoryMode


class ApiSettings(msgspec.Struct, frozen=True):
    """How the routes behave. `models`: the names that a request may use besides `nanobot`. `ephemeral`:
    patterns of the session keys whose turns leave no trace. `tools_tokens` returns what it costs to offer
    the server's own tools. `personas`: who answers in which sessions. `max_bodies_bytes`: of all bodies
    together. `max_json_entries`: how many members and elements a JSON body may have.
    """

    models: tuple[str, ...] = ()
    stream: bool = True
    session_headers: tuple[str, ...] = ()
    history: tuple[HistoryRule, ...] = ()
    ephemeral: tuple[str, ...] = ()
    max_body_bytes: int = 20 * 1024 * 1024
    max_bodies_bytes: int = 150 * 1024 * 1024
    max_json_entries: int = 100_000
    bounds: RequestBounds = DEFAULT_BOUNDS
    body_timeout_s: float = 30.0
    ping_s: float = 15.0
    metrics_open: bool = False
    tools_tokens: Callable[[], int] = lambda: 0
    personas: Personas = Personas()

    def json_bodies(self) -> JsonBodies:
        """Return the reader of bodies that these settings describe."""
        return JsonBodies(self.max_body_bytes, self.body_timeout_s, self.max_json_entries)
