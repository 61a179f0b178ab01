"""What would go to stderr beside the log: as lines of the log, for readers that parse every line.

What the interpreter writes when it dies, and libraries in C, cannot be had: they write to the file itself.
"""

import atexit
import io
import logging
import sys
import threading
from types import TracebackType

_log = logging.getLogger("nanobot.stderr")


class LogStream(io.TextIOBase):
    """A text stream whose lines are log lines, whatever the level of the log. They go to `handler`."""

    def __init__(self, handler: logging.Handler) -> None:
        super().__init__()
        self._handler = handler
        self._pending = ""
        self._lock = threading.Lock()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        return "backslashreplace"

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        with self._lock:
            *lines, self._pending = (self._pending + text).split("\n")
        for line in lines:
            self._emit(line)
        return len(text)

    def flush(self) -> None:
        """Does nothing: a line that has no end yet is not written."""

    def finish(self) -> None:
        """Write what has no end of a line yet."""
        with self._lock:
            line, self._pending = self._pending, ""
        self._emit(line)

    def log(self, level: int, message: str) -> None:
        """Write the message as one line of that level."""
        self._handler.handle(_record(level, message))

    def _emit(self, line: str) -> None:
        if line.strip():
            self._handler.handle(_record(logging.INFO, line.rstrip("\r")))


def _record(level: int, message: str, error: BaseException | None = None) -> logging.LogRecord:
    exception = (type(error), error, error.__traceback__) if error is not None else None
    # Without arguments, so that a percent sign means nothing.
    return logging.LogRecord(_log.name, level, __file__, 0, message, None, exception)


def log_everything(handler: logging.Handler) -> None:
    """Write warnings, exceptions that nothing caught, and all other text for stderr as lines of `handler`."""
    logging.captureWarnings(True)

    def uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None, /) -> None:
        handler.handle(_record(logging.CRITICAL, f"nanobot stops: {kind.__name__}", error))

    def uncaught_in_thread(args: threading.ExceptHookArgs, /) -> None:
        name = args.thread.name if args.thread is not None else "unknown"
        handler.handle(_record(logging.ERROR, f"the thread {name} failed", args.exc_value))

    def unraisable(args: "sys.UnraisableHookArgs", /) -> None:
        where = args.err_msg or "exception ignored in"
        handler.handle(_record(logging.ERROR, f"{where} {args.object!r}", args.exc_value))

    sys.excepthook = uncaught
    threading.excepthook = uncaught_in_thread
    sys.unraisablehook = unraisable
    stream = sys.stderr = LogStream(handler)
    atexit.register(stream.finish)


def log_line(level: int, message: str) -> bool:
    """Write the message as a line of the log, whatever its level, if all of stderr is one; return whether."""
    stream = sys.stderr
    if not isinstance(stream, LogStream):
        return False
    stream.log(level, message)
    return True
