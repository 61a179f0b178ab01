"""What the server and a worker send each other: a task on the way there, its result on the way back."""

import msgspec

from nanobot.workers.task import Task, WorkerLimits

_LENGTH_BYTES = 4
NO_MEMORY = 3
"""The exit status of a worker that was refused memory."""


class WorkerOrder(msgspec.Struct, frozen=True):
    """What to do, and the limits that the process sets itself before it does it."""

    module: str
    limits: WorkerLimits


def framed(task: Task) -> tuple[bytes, bytes]:
    """Return what is written to a worker: the order and the head, then the content."""
    order = msgspec.json.encode(WorkerOrder(task.module, task.limits))
    return b"%b\n%b%b" % (order, len(task.head).to_bytes(_LENGTH_BYTES), task.head), task.content


def unframed(content: bytes) -> tuple[WorkerOrder, bytes, bytes]:
    """Return order, head and content of what was written."""
    line = content.index(b"\n")
    order = msgspec.json.decode(content[:line], type=WorkerOrder)
    start = line + 1 + _LENGTH_BYTES
    end = start + int.from_bytes(content[line + 1 : start])
    return order, content[start:end], content[end:]
