"""What macOS lets a command do, as a profile for `sandbox-exec`. Standard library only.

The profile is a text that no path is ever written into: those of a command are parameters, whose values the
system takes as they are. Everything is denied that is not named. What a name allows, and what programs cannot
do without, is known from the documentation and the profiles of others; nobody has tried this one on a Mac.
"""

import os
import sys
from collections.abc import Iterable, Sequence

if sys.platform != "win32":
    import fcntl

SANDBOX_EXEC = "/usr/bin/sandbox-exec"
SYSTEM = (
    *("/bin", "/sbin", "/usr/bin", "/usr/lib", "/usr/libexec", "/usr/sbin", "/usr/share"),
    # Not all of /System: the volume with everybody's files is mounted below it.
    *("/System/Library", "/System/iOSSupport", "/System/Cryptexes", "/System/Volumes/Preboot/Cryptexes"),
    *("/Library/Apple", "/Library/Developer", "/Library/Frameworks", "/Library/Java", "/Library/Fonts"),
    *("/Applications/Xcode.app", "/private/var/db/timezone", "/private/var/db/xcode_select_link"),
    *("/private/var/select", "/private/etc/localtime", "/private/etc/ssl", "/private/etc/protocols"),
    *("/private/etc/services", "/private/etc/shells", "/private/etc/passwd", "/private/etc/group"),
    # Not their var and etc, which hold databases and settings.
    *(
        f"{prefix}/{name}"
        for prefix in ("/usr/local", "/opt/homebrew")
        for name in ("bin", "sbin", "lib", "libexec", "include", "share", "opt", "Cellar", "Frameworks")
    ),
    *("/usr/local/etc/openssl@3", "/usr/local/etc/ca-certificates"),
    *("/opt/homebrew/etc/openssl@3", "/opt/homebrew/etc/ca-certificates"),
)
_LINKS = ("/etc", "/tmp", "/var")  # noqa: S108 - of the system, which leads to its own
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
_STREAMS = ("/dev/stdin", "/dev/stdout", "/dev/stderr")
# Of users and groups: without them no program learns who it runs as.
_SERVICES = ("com.apple.system.opendirectoryd.libinfo", "com.apple.system.opendirectoryd.membership")
_ABOUT = (
    *("argmax", "hostname", "iossupportversion", "maxfilesperproc", "maxproc", "ngroups", "osproductversion"),
    *("osrelease", "ostype", "osvariant_status", "osversion", "secure_kernel", "usrstack64", "version"),
)
_READS = "file-read* file-map-executable process-exec"
_NEVER = """
(deny file-ioctl)
(deny file-read* file-write* (regex #"^/dev/tty"))
(deny network*)
"""
_GET_PATH, _LONGEST_PATH = 50, 1024


def confined(
    program: str, readable: Sequence[str], writable: Sequence[str], command: Sequence[str]
) -> list[str]:
    """Return how `program`, which is `sandbox-exec`, is called so that a command reads nothing but the system
    and `readable`, and writes nothing but `writable`. The paths are as `true_path` returns them.

    Raises:
        ValueError: there is nothing that it may write.
    """
    groups = {
        "READABLE": list(dict.fromkeys(readable)),
        "WRITABLE": list(dict.fromkeys(writable)),
        "ABOVE": _above([*SYSTEM, *_LINKS, *readable, *writable]),
    }
    arguments = [program, "-p", profile({name: len(paths) for name, paths in groups.items()})]
    for name, paths in groups.items():
        for number, path in enumerate(paths):
            arguments += ["-D", f"{name}_{number}={path}"]
    return [*arguments, "--", *command]


def profile(counts: dict[str, int]) -> str:
    """Return the profile for so many paths of each group.

    Raises:
        ValueError: there is none of a group that a rule is about. A rule without a path is about all.
    """
    if not counts["WRITABLE"] or not counts["ABOVE"]:
        raise ValueError("a command needs a directory that it may write")
    readable, writable = (_parameters("subpath", name, counts[name]) for name in ("READABLE", "WRITABLE"))
    system, above = _named("subpath", SYSTEM), _parameters("literal", "ABOVE", counts["ABOVE"])
    rules = [
        "(version 1)",
        "(deny default)",
        "(allow process-fork)",
        "(allow signal (target same-sandbox))",
        "(allow process-info* (target same-sandbox))",
        # Programs look at the top of all paths before they begin.
        f'(allow file-read* {_named("literal", ["/", *_DEVICES, *_STREAMS])} (subpath "/dev/fd"))',
        f'(allow file-write-data {_named("literal", [*_DEVICES[:2], *_STREAMS])} (subpath "/dev/fd"))',
        f"(allow {_READS} {system} {readable})",
        f"(allow {_READS} file-write* {writable})",
        f"(allow file-read-metadata {_named('literal', _LINKS)} {above})",
        f"(allow mach-lookup {_named('global-name', _SERVICES)})",
        # Python's locks between processes.
        '(allow ipc-posix-sem (ipc-posix-name-prefix "/mp-"))',
        f"(allow sysctl-read {_named('sysctl-name', (f'kern.{name}' for name in _ABOUT))}"
        ' (sysctl-name "vm.loadavg") (sysctl-name "sysctl.proc_cputype")'
        ' (sysctl-name-prefix "hw.") (sysctl-name-prefix "machdep.cpu."))',
    ]
    return "\n".join(rules) + _NEVER


def true_path(path: str) -> str:
    """Return a path as the system itself knows it: without links, in its own spelling.

    Raises:
        OSError: it is not there, or cannot be opened.
    """
    real = os.path.realpath(path)
    if sys.platform == "darwin":
        # Most file systems there take capitals for small letters; a profile does not.
        opened = os.open(real, os.O_RDONLY)
        try:
            return os.fsdecode(fcntl.fcntl(opened, _GET_PATH, bytes(_LONGEST_PATH)).rstrip(b"\0"))
        finally:
            os.close(opened)
    return real


def _above(paths: Iterable[str]) -> list[str]:
    """Return the directories that the paths are in, the root left out."""
    found: dict[str, None] = {}
    for path in paths:
        while (path := os.path.dirname(path)) not in ("/", ""):  # noqa: PTH120
            found[path] = None
    return sorted(found)


def _parameters(kind: str, name: str, count: int) -> str:
    return " ".join(f'({kind} (param "{name}_{number}"))' for number in range(count))


def _named(kind: str, names: Iterable[str]) -> str:
    return " ".join(f'({kind} "{name}")' for name in names)
