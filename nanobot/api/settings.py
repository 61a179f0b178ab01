"""Settings that the routes share."""

import msgspec


class ApiSettings(msgspec.Struct, frozen=True):
    """How the routes behave. `models`: the names that a request may use besides `nanobot`."""

    models: tuple[str, ...] = ()
    stream: bool = True
    session_headers: tuple[str, ...] = ()
    max_body_bytes: int = 20 * 1024 * 1024
    body_timeout_s: float = 30.0
    ping_s: float = 15.0
    metrics_open: bool = False
