"""A server in a process of its own, to be killed, paused, stopped and started again on the same directory and
port.
"""

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.ports import free_port

ROOT = Path(__file__).parents[2]
_POLL_S = 0.02


class Server:
    """The process.

    `directory` holds its log, its records, and its data where `data` names no other place; `module` is what
    Python runs, with its sub-command.
    """

    def __init__(
        self,
        directory: Path,
        settings: Mapping[str, str],
        *,
        model: str,
        module: str = "nanobot serve",
        data: Path | None = None,
    ) -> None:
        self.port = free_port()
        self.data = data or directory / "data"
        self.log = directory / "server.log"
        self._arguments = [sys.executable, "-m", *module.split(), "--port", str(self.port), "--model", model]
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("NANOBOT_", "OPENAI_"))
        }
        self._environment = {**kept, "PYTHONPATH": str(ROOT), "CHAOS_RECORD": str(directory), **settings}
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """How the process ended; None while it runs."""
        return self._process.poll() if self._process is not None else None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._arguments, "--data", str(self.data)],
                env=self._environment,
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def wait_ready(self, within_s: float = 30.0) -> None:
        """Return once it answers.

        Raises:
            RuntimeError: it ended instead, or takes too long.
        """
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            if self.exit_status is not None:
                raise RuntimeError(
                    f"the server ended with {self.exit_status} instead of starting:\n{self.last_words()}"
                )
            if self.is_alive():
                return
            time.sleep(_POLL_S)
        raise RuntimeError(f"the server did not answer within {within_s:g} s:\n{self.last_words()}")

    def is_alive(self) -> bool:
        """Whether /health answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def kill(self) -> None:
        """End it as a power cut would: no word, no cleaning up."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def pause(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def stop(self, within_s: float) -> float:
        """Ask it to stop and return how many seconds it took.

        Raises:
            RuntimeError: it did not within `within_s`; it was killed.
        """
        assert self._process is not None
        begun = time.monotonic()
        self._process.terminate()
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError(f"the server did not stop within {within_s:g} s of SIGTERM") from None
        return time.monotonic() - begun

    def last_words(self) -> str:
        return self.log.read_text(errors="replace")[-2000:] if self.log.exists() else ""
