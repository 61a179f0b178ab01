"""Whether and how a running turn is broken off."""

import asyncio
import enum


class Phase(enum.Enum):
    """How far a run is."""

    ANSWERING = "the agent is at work"
    STOPPING = "a stop was asked for; the task is interrupted once it runs and no commit is under way"
    INTERRUPTED = "the task was cancelled because of the stop"
    ENDING = "the end is being written, however long the store takes"
    ABANDONING = "the end is being written while the server stops: it is tried once more, not waited for"


class RunState:
    """The phase of a run, and the only place where its task is cancelled.

    `stop_reason` is None where the turn is to be given back for the next start. While `commits` are under way
    the task is not interrupted: what was handed to the store will be written.
    """

    __slots__ = ("_phase", "_task", "commits", "stop_reason")

    def __init__(self) -> None:
        self._phase = Phase.ANSWERING
        self._task: asyncio.Task[None] | None = None
        self.commits = 0
        self.stop_reason: str | None = None

    def is_in(self, phase: Phase) -> bool:
        return self._phase is phase

    def start(self) -> None:
        """The current task is the one to interrupt."""
        self._task = asyncio.current_task()

    def stop(self, why: str | None) -> None:
        """Interrupt the task as soon as that may be.

        The first reason counts, but the end of the server (None) outweighs every other. Once the end of the
        turn is being written, nothing but the end of the server cuts the waiting short.
        """
        if self._phase is Phase.ANSWERING:
            self.stop_reason = why
            self._phase = Phase.STOPPING
            self.interrupt_if_stopping()
        elif why is not None or self._phase is Phase.ABANDONING:
            return
        elif self._phase is Phase.ENDING:
            self._phase = Phase.ABANDONING
            self._cancel_task()
        else:
            self.stop_reason = None

    def interrupt_if_stopping(self) -> None:
        """Interrupt the task where a stop was asked for and had to wait for its start or for a commit."""
        if self._phase is Phase.STOPPING and self._cancel_task():
            self._phase = Phase.INTERRUPTED

    def recover(self) -> None:
        """The task has caught its cancellation, and goes on to write the end."""
        if self._task is not None:
            self._task.uncancel()

    def end(self) -> None:
        """The end is about to be written."""
        is_given_back = self._phase is not Phase.ANSWERING and self.stop_reason is None
        self._phase = Phase.ABANDONING if is_given_back else Phase.ENDING

    def _cancel_task(self) -> bool:
        return self.commits == 0 and self._task is not None and self._task.cancel()
