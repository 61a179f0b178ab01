"""A server whose log is JSON writes nothing else: every line of its output can be parsed."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from nanobot.telemetry.logs import FIELDS

BOUND_S = 30.0


def environment(directory: Path, **variables: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "PYTHONPATH": str(Path.cwd()),
        "NANOBOT_LOG_FORMAT": "json",
        **variables,
    }


def start(
    directory: Path, *arguments: str, code: str | None = None, **variables: str
) -> "subprocess.Popen[str]":
    program = ["-m", "nanobot"] if code is None else ["-c", code]
    return subprocess.Popen(
        [sys.executable, *program, "serve", *arguments],
        cwd=directory,
        env=environment(directory, **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def parsed(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        raise AssertionError(f"this line is no JSON: {line!r}") from None
    assert set(found) <= set(FIELDS) and {"time", "level", "logger", "message"} <= set(found)
    return dict(found)


def lines(process: "subprocess.Popen[str]") -> list[dict[str, Any]]:
    out, _ = process.communicate(timeout=BOUND_S)
    return [parsed(line) for line in out.splitlines()]


def test_from_the_first_line_to_the_last_everything_is_json(tmp_path: Path) -> None:
    process = start(tmp_path, "--model", "echo", "--port", "0", "--verbose")
    try:
        assert process.stdout is not None
        first = parsed(process.stdout.readline())
        while "listens on" not in first["message"]:
            first = parsed(process.stdout.readline())
        url = first["message"].partition("listens on ")[2].partition(",")[0]
        with urllib.request.urlopen(f"{url}/health", timeout=BOUND_S) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGTERM)
        rest = lines(process)
    finally:
        process.kill()
    assert process.returncode == 0
    assert any(line.get("route") == "/health" for line in rest)


@pytest.mark.parametrize(
    ("arguments", "variables", "needle"),
    [
        (["--host", "0.0.0.0"], {}, "can be reached from other machines"),
        (["--port", "eighty"], {}, "--port"),
        (["--prot", "1"], {}, "--prot"),
        (["--config", "none.toml"], {}, "there is no such file"),
        ([], {"NANOBOT_SERVER_PROT": "1"}, "NANOBOT_SERVER_PORT"),
        (["--data", "/proc/none"], {}, "/proc/none"),
    ],
)
def test_an_error_of_the_start_is_one_line(
    arguments: list[str], variables: dict[str, str], needle: str, tmp_path: Path
) -> None:
    process = start(tmp_path, "--model", "echo", *arguments, **variables)
    (line,) = lines(process)
    assert process.returncode == 2
    assert line["level"] == "critical" and needle in line["message"]


@pytest.mark.parametrize(
    "text", ['[log]\nformat = "json"\n[server]\nport = "x"\n', '[log]\nformat = "json"\n[x']
)
def test_a_file_that_asks_for_json_and_is_wrong_is_told_in_json(text: str, tmp_path: Path) -> None:
    (tmp_path / "nanobot.toml").write_text(text)
    (line,) = lines(start(tmp_path, NANOBOT_LOG_FORMAT=""))
    assert line["message"].startswith("nanobot.toml:")


def test_tracebacks_warnings_threads_and_stray_prints_are_lines_of_the_log(tmp_path: Path) -> None:
    """Whatever a library or a bug does, as far as it goes through Python."""
    code = textwrap.dedent(
        """
        import asyncio, logging, sys, threading, warnings
        from nanobot.cli import main, serve

        class Unraisable:
            def __del__(self):
                raise KeyError("unraisable")

        async def stray(config, listener, source):
            warnings.warn("a warning\\nof two lines")
            print("printed", file=sys.stderr)
            logging.getLogger("uvicorn.error").error("of uvicorn")
            logging.getLogger("x").error("%s %s", "too few")
            logging.getLogger("x").error("a surrogate \\udc80")
            del Unraisable.__name__  # TypeError: never caught
        def broken():
            raise OSError("in a thread")

        async def run(config, listener, source):
            Unraisable()
            thread = threading.Thread(target=broken, name="broken")
            thread.start()
            thread.join()
            asyncio.get_running_loop().call_exception_handler({"message": "of asyncio"})
            await stray(config, listener, source)

        serve.serve = run
        try:
            main.main()
        finally:
            print("no end of line", end="", file=sys.stderr)
        """
    )
    process = start(tmp_path, "--model", "echo", "--port", "0", code=code)
    found = lines(process)
    assert process.returncode == 1
    messages = [line["message"] for line in found]
    for needle in (
        "a warning\nof two lines",
        "printed",
        "no end of line",
        "of uvicorn",
        "of asyncio",
        "broken",
    ):
        assert any(needle in message for message in messages), (needle, messages)
    exceptions = "\n".join(line.get("exception", "") for line in found)
    assert "KeyError: 'unraisable'" in exceptions and "OSError: in a thread" in exceptions
    (last,) = (line for line in found if line["level"] == "critical")
    assert last["exception"].startswith("Traceback") and "TypeError" in last["exception"]
