"""A port for a program that cannot be told to choose one, or that has to come back at the same."""

import random
import socket

# Hypothesis seeds the module's own source alike in each worker.
_random = random.SystemRandom()


def free_port() -> int:
    """Return a port that nobody has, outside the range from which outgoing connections take theirs."""
    while True:
        port = _random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
