"""Whether a server exports traces: by its settings, the environment, and what is installed."""

import importlib.util
import logging
from collections.abc import Callable, Mapping

import msgspec

from nanobot.config import Config
from nanobot.core.distribution import install_command
from nanobot.core.errors import ConfigError
from nanobot.core.observer import Observer
from nanobot.telemetry.logs import SessionNames

_log = logging.getLogger(__name__)
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_EXPORTERS = ("otlp", "console")


class Tracing(msgspec.Struct, frozen=True):
    """`observer` makes the spans; `close` exports the last of them. It blocks: call it in a thread."""

    observer: Observer
    close: Callable[[], None]


def tracing(config: Config, environment: Mapping[str, str]) -> Tracing | None:
    """Return what makes traces, None where they are off.

    Raises:
        ConfigError: they are on, and cannot be made.
    """
    mode = config.telemetry.traces
    kind = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    is_disabled = kind == "none" or environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if (
        mode == "off"
        or is_disabled
        or (mode == "auto" and not kind and not any(environment.get(name) for name in _ENDPOINTS))
    ):
        return None
    if kind and kind not in _EXPORTERS:
        raise ConfigError(
            f"OTEL_TRACES_EXPORTER is {kind!r}: it must be one of {', '.join(_EXPORTERS)}, none"
        )
    if not _is_installed():
        problem = f"traces need OpenTelemetry, which is not installed: {install_command('telemetry')}"
        if mode == "on":
            raise ConfigError(f"telemetry.traces is 'on': {problem}")
        _log.warning("the environment asks for traces; %s", problem)
        return None
    # OpenTelemetry is an extra, which most servers do not have.
    from nanobot.telemetry.spans import Exporting, Spans

    export = Exporting(kind or "otlp")
    sessions = SessionNames(config.data, plain=config.log.session_keys)
    return Tracing(Spans(export.provider, sessions, content=config.telemetry.content), export.close)


def _is_installed() -> bool:
    try:
        return all(
            importlib.util.find_spec(package)
            for package in ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
        )
    except (AttributeError, ModuleNotFoundError):
        # The parent package is missing.
        return False
