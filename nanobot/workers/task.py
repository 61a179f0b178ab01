"""What a worker is to do, what it may cost, and how it ended."""

from typing import Literal

import msgspec


class WorkerLimits(msgspec.Struct, frozen=True):
    """What one task may cost.

    `wall_s` and `cpu_s`: seconds from its start, and of computing. `memory_bytes`: of address space, where
    the system can limit it. `max_output_bytes`: of the result.
    """

    wall_s: float
    cpu_s: int
    memory_bytes: int
    max_output_bytes: int


class Task(msgspec.Struct, frozen=True):
    """Work for one process.

    `module` has a function `run(head: bytes, content: bytes) -> bytes`, which is called with these.
    `libraries`: further modules that it is going to need, where they are installed; they are imported once
    for many tasks.
    """

    module: str
    limits: WorkerLimits
    head: bytes
    content: bytes = b""
    libraries: tuple[str, ...] = ()


Ending = Literal["done", "timeout", "limit", "failed"]


class Outcome(msgspec.Struct, frozen=True):
    """How a task ended.

    `done`: `output` is its result. `timeout`: it took longer than `wall_s`. `limit`: it used up its time of
    computing, or there was no memory for it. `failed`: it ended in any other way, or wrote too much.
    """

    ending: Ending
    output: bytes = b""
