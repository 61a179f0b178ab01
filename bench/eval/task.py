"""What a task is."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec

from bench.eval.talk import Script

if TYPE_CHECKING:
    from bench.eval.world import World


class Failed(Exception):
    """What the task asked for is not there; the message says what is instead."""


class Skipped(Exception):
    """The task needs something that this machine lacks."""


def check(is_so: object, otherwise: str) -> None:
    """Return where it is so.

    Raises:
        Failed: it is not.
    """
    if not is_so:
        raise Failed(otherwise)


class Task(msgspec.Struct, frozen=True):
    """A piece of work for the agent.

    `work` says what a user says to the server that runs in the world, and checks what came of it, without a
    look at the script. `prepare` makes the files and pages that it is about, before the server starts;
    `settings` (TOML) is what the server is started with: `$outside`, `$site` and `$python` stand for a
    directory, the host of the web site, and the interpreter. `needs_tools`: whether it cannot be done by a
    model that only calculates.
    """

    name: str
    subject: str
    shows: str
    work: "Callable[[World], None]"
    script: Script
    prepare: "Callable[[World], None] | None" = None
    settings: str = ""
    needs_tools: bool = True


class Tasks:
    """The tasks of a subject, in the order in which they were added."""

    def __init__(self, subject: str) -> None:
        self.subject: Final = subject
        self.all: list[Task] = []

    def add(
        self,
        name: str,
        shows: str,
        script: Script,
        *,
        prepare: "Callable[[World], None] | None" = None,
        settings: str = "",
        needs_tools: bool = True,
    ) -> "Callable[[Callable[[World], None]], Callable[[World], None]]":
        """Return what adds a task whose `work` is the function that it is given."""

        def added(work: "Callable[[World], None]") -> "Callable[[World], None]":
            self.all.append(Task(name, self.subject, shows, work, script, prepare, settings, needs_tools))
            return work

        return added
