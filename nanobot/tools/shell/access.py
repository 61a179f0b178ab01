"""Which sessions may run commands."""

from nanobot.core.accounts import matches
from nanobot.core.errors import ToolError


class ShellAccess:
    """Lets those sessions run commands whose key matches one of `patterns`."""

    def __init__(self, patterns: tuple[str, ...]) -> None:
        self._patterns = patterns

    def check(self, session_key: str) -> None:
        """Return where the session may run commands.

        Raises:
            ToolError: it may not.
        """
        if not any(matches(session_key, pattern) for pattern in self._patterns):
            raise ToolError(
                "commands are not allowed in this conversation: whoever runs the server can allow them"
                " (shell.sessions)"
            )
