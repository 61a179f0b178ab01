"""Whether a server makes traces, and where they go: the settings, the environment, and what is installed."""

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
    """Who makes the spans, and what sends the last of them; blocks, for a thread."""

    observer: Observer
    close: Callable[[], None]


def tracing(config: Config, environment: Mapping[str, str]) -> Tracing | None:
    """Return what makes traces; None where none are wanted.

    Raises:
        ConfigError: they are, and cannot be made.
    """
    wish = config.telemetry.traces
    kind = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    is_silenced = kind == "none" or environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if (
        wish == "off"
        or is_silenced
        or (wish == "auto" and not kind and not any(environment.get(name) for name in _ENDPOINTS))
    ):
        return None
    if kind and kind not in _EXPORTERS:
        raise ConfigError(
            f"OTEL_TRACES_EXPORTER is {kind!r}: it must be one of {', '.join(_EXPORTERS)}, none"
        )
    if not _is_installed():
        problem = f"traces need OpenTelemetry, which is not installed: {install_command('telemetry')}"
        if wish == "on":
            raise ConfigError(f"telemetry.traces is 'on': {problem}")
        _log.warning("the environment asks for traces; %s", problem)
        return None
    # the packages of the extra, which most servers do not have
    from nanobot.telemetry.spans import Exporting, Spans

    exporting = Exporting(kind or "otlp")
    sessions = SessionNames(config.data, plain=config.log.session_keys)
    return Tracing(Spans(exporting.provider, sessions, content=config.telemetry.content), exporting.close)


def _is_installed() -> bool:
    try:
        return all(
            importlib.util.find_spec(package)
            for package in ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
        )
    except (AttributeError, ModuleNotFoundError):
        # not even the package around it
        return False
