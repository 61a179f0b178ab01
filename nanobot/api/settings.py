"""Settings that the routes share."""

from typing import Literal

import msgspec

HistoryMode = Literal["auto", "whole"]


class HistoryRule(msgspec.Struct, frozen=True):
    """What the messages of a request are where the session key matches `pattern`.

    `whole`: all of the conversation; `auto`: its end, before which the transcript may have more.
    """

    pattern: str
    mode: HistoryMode


class ApiSettings(msgspec.Struct, frozen=True):
    """How the routes behave. `models`: the names that a request may use besides `nanobot`."""

    models: tuple[str, ...] = ()
    stream: bool = True
    session_headers: tuple[str, ...] = ()
    history: tuple[HistoryRule, ...] = ()
    max_body_bytes: int = 20 * 1024 * 1024
    body_timeout_s: float = 30.0
    ping_s: float = 15.0
    metrics_open: bool = False
