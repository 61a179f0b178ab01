"""The name under which nanobot is installed, and the commands that add one of its extras.

An installer resolves `DISTRIBUTION[extra]` to the distribution that its environment already has, whether that
came from an index, a wheel or a checkout. So the commands hold for all of them, as long as the installer is
that of nanobot's own environment.
"""

import importlib.util
import sys

DISTRIBUTION = "nanobot-server"


def install_hint(extra: str) -> str:
    """Return how to install `extra`, for readers who shall not see the paths of this machine."""
    return f'pip install "{DISTRIBUTION}[{extra}]"'


def install_command(extra: str) -> str:
    """Return the command that installs `extra` for the Python that runs now; for who administers this
    machine.

    An environment that was made by uv has no pip of its own.
    """
    python = f'"{sys.executable}"' if " " in sys.executable else sys.executable
    if importlib.util.find_spec("pip") is None:
        return f'uv pip install --python {python} "{DISTRIBUTION}[{extra}]"'
    return f"{python} -m {install_hint(extra)}"
