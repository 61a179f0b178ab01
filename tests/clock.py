"""A clock for tests in which nobody needs to turn it."""


class PausedClock:
    """Time moves by the pauses that are asked for alone: they pass at once and are noted in `pauses`."""

    def __init__(self) -> None:
        self.time = 1_700_000_000.0
        self.pauses: list[float] = []

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.time += seconds
