"""The skills in the files of a session, which anybody may have written: read by a worker, as front matter can
take long to read.
"""

from collections.abc import Sequence

import msgspec

from nanobot.core.errors import ToolError
from nanobot.tools.skills.skill_file import SkillFile, read_skill_file
from nanobot.workers.pool import WorkerPool
from nanobot.workers.task import Task, WorkerLimits

_WALL_S = 5.0
_LIMITS = WorkerLimits(_WALL_S, 5, 256 * 1024 * 1024, 1024 * 1024)


class _Order(msgspec.Struct, frozen=True):
    """The folders, and how long the `SKILL.md` of each is."""

    folders: tuple[str, ...]
    sizes: tuple[int, ...]


def run(head: bytes, content: bytes) -> bytes:
    """Return the skills that a worker was given, as JSON."""
    order = msgspec.json.decode(head, type=_Order)
    files, at = [], 0
    for folder, size in zip(order.folders, order.sizes, strict=True):
        file = read_skill_file(content[at : at + size], folder)
        # Of many, what they are for is all that counts.
        files.append(file if len(order.folders) == 1 else msgspec.structs.replace(file, body=""))
        at += size
    return msgspec.json.encode(files)


async def read_written(
    workers: WorkerPool, skills: Sequence[tuple[str, bytes]], owner: str
) -> tuple[SkillFile, ...]:
    """Return what each `SKILL.md` says, given with the name of its folder; of several without their bodies.

    Raises:
        ToolError: it takes too long.
    """
    if not skills:
        return ()
    order = _Order(tuple(folder for folder, _ in skills), tuple(len(content) for _, content in skills))
    content = b"".join(content for _, content in skills)
    task = Task("nanobot.tools.skills.written", _LIMITS, msgspec.json.encode(order), content, ("yaml",))
    outcome = await workers.run(task, owner)
    if outcome.ending != "done":
        raise ToolError(
            f"the skills in the files of this conversation took longer than {_WALL_S:g} s to read"
        )
    return msgspec.json.decode(outcome.output, type=tuple[SkillFile, ...])
