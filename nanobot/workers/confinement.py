"""Limits that a process sets itself: time, memory and files everywhere but on Windows; on Linux, no network,
no other process, and nothing read but what Python itself consists of. It gets what the server leaves of the
processors.
"""

import os
import sys

from nanobot.workers.task import WorkerLimits

_NICER = 10


def confine(limits: WorkerLimits) -> None:
    """Limit this process. Windows has no such limits: there only the parent's timeout holds."""
    if sys.platform == "win32":
        return
    import resource

    os.nice(_NICER)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    for kind, most in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_CPU, int(usage.ru_utime + usage.ru_stime) + limits.cpu_s),
        # Nothing may be written to any file.
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        try:
            resource.setrlimit(kind, (most, most))
        except (OSError, ValueError):
            # macOS cannot limit the address space.
            continue
    if sys.platform == "linux":
        from nanobot.workers.linux import confine_system_calls, confine_to_python, end_with_parent

        end_with_parent()
        confine_to_python()
        confine_system_calls()
