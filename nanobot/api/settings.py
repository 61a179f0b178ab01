"""Settings that the routes share."""

import msgspec

from nanobot.core.accounts import HistoryMode


class HistoryRule(msgspec.Struct, frozen=True):
    """What the messages of a request are where the session key matches `pattern`."""

    pattern: str
    mode: HistoryMode


class ApiSettings(msgspec.Struct, frozen=True):
    """How the routes behave. `models`: the names that a request may use besides `nanobot`. `ephemeral`:
    patterns of the session keys whose turns leave no trace. `tools_tokens`: what it costs to offer the
    server's own tools.
    """

    models: tuple[str, ...] = ()
    stream: bool = True
    session_headers: tuple[str, ...] = ()
    history: tuple[HistoryRule, ...] = ()
    ephemeral: tuple[str, ...] = ()
    max_body_bytes: int = 20 * 1024 * 1024
    body_timeout_s: float = 30.0
    ping_s: float = 15.0
    metrics_open: bool = False
    tools_tokens: int = 0
