"""The tasks, by subject."""

from bench.eval.task import Task
from bench.eval.tasks import (
    approvals,
    crashes,
    delegation,
    documents,
    files,
    injection,
    long_work,
    mcp,
    memory,
    plain,
    skills,
    web,
)

_SUBJECTS = (
    plain,
    files,
    documents,
    web,
    mcp,
    delegation,
    skills,
    memory,
    long_work,
    approvals,
    crashes,
    injection,
)
ALL: tuple[Task, ...] = tuple(task for subject in _SUBJECTS for task in subject.TASKS.all)
