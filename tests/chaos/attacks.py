"""Attacks on a server: it is killed, paused, asked to stop, and started again, at random from a seed."""

import random
import threading
import time
from collections import Counter

from tests.chaos.server import Server

_ACTIONS = {"kill": 40, "kill while starting": 12, "pause": 14, "long pause": 9, "stop": 25}
STOP_SLACK_S = 12.0


class Attacker(threading.Thread):
    """Attacks `server` until `enough` is set; it runs, and is not paused, when this thread has ended.

    `rest_s` bounds the time between two attacks, `client_timeout_s` tells how long a long pause must be.
    `failures` are what a server must never do: end by itself, not come back, take too long to stop.
    """

    def __init__(
        self,
        server: Server,
        *,
        seed: int,
        rest_s: tuple[float, float],
        client_timeout_s: float,
        grace_s: float,
        enough: threading.Event,
    ) -> None:
        super().__init__(name="attacker", daemon=True)
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []
        self.slowest_stop_s = 0.0
        self.slowest_start_s = 0.0
        self._server = server
        self._random = random.Random(f"{seed}:attacks")
        self._rest_s = rest_s
        self._client_timeout_s = client_timeout_s
        self._grace_s = grace_s
        self._enough = enough

    def run(self) -> None:
        while not self._enough.wait(self._random.uniform(*self._rest_s)):
            if self._server.exit_status is not None:
                self.failures.append(f"the server ended by itself with {self._server.exit_status}")
                self._start()
            action = self._random.choices(list(_ACTIONS), list(_ACTIONS.values()))[0]
            self.counts[action] += 1
            try:
                self._do(action)
            except RuntimeError as error:
                self.failures.append(str(error))
                self._server.kill()
                self._start()

    def _do(self, action: str) -> None:
        server, chance = self._server, self._random
        match action:
            case "kill":
                server.kill()
                self._start()
            case "kill while starting":
                server.kill()
                for _ in range(chance.randint(1, 2)):
                    server.start()
                    self.counts["kill"] += 1
                    time.sleep(chance.uniform(0.02, 0.6))
                    server.kill()
                self._start()
            case "pause":
                self._pause(chance.uniform(0.05, self._client_timeout_s / 2))
            case "long pause":
                self._pause(self._client_timeout_s * chance.uniform(1.2, 2.0))
            case "stop":
                took_s = server.stop(self._grace_s + STOP_SLACK_S)
                self.slowest_stop_s = max(self.slowest_stop_s, took_s)
                self._start()

    def _pause(self, seconds: float) -> None:
        self._server.pause()
        time.sleep(seconds)
        self._server.go_on()

    def _start(self) -> None:
        begun = time.monotonic()
        self._server.start()
        self._server.wait_ready()
        self.slowest_start_s = max(self.slowest_start_s, time.monotonic() - begun)
