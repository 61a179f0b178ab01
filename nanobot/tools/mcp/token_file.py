"""What a login at an MCP server has brought: kept in a file that only the server's user can read."""

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any

import msgspec

DIRECTORY = "mcp-logins"


class StoredLogin(msgspec.Struct, frozen=True):
    """The tokens for the server at `url`, and what is needed to renew them: the client as it was registered,
    and what was found out of the authorization server; each as the SDK has it. `expires_at`: of the access
    token, in seconds since the epoch; None: nobody knows. `wanted_scope`: what the server asked for where the
    token did not allow enough: the next login asks for that, too.
    """

    url: str
    tokens: dict[str, Any]
    expires_at: float | None = None
    client: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    resource: dict[str, Any] | None = None
    issuer: str | None = None
    wanted_scope: str | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be shown anywhere."""
        named = (
            self.tokens.get("access_token"),
            self.tokens.get("refresh_token"),
            (self.client or {}).get("client_secret"),
        )
        return tuple(each for each in named if isinstance(each, str) and each)


class TokenFile:
    """The file of one server's login. `url`: where the server is; a login elsewhere is none."""

    def __init__(self, path: Path, url: str) -> None:
        self._path = path
        self._url = url

    @classmethod
    def of(cls, data: Path, name: str, url: str) -> "TokenFile":
        """Return the file of the server called `name`."""
        return cls(data / DIRECTORY / f"{name}.json", url)

    @property
    def path(self) -> Path:
        return self._path

    def load(self) -> StoredLogin | None:
        """Return the login; None where there is none for this server, or it cannot be read."""
        try:
            login = msgspec.json.decode(self._path.read_bytes(), type=StoredLogin)
        except (OSError, ValueError, RecursionError):
            return None
        return login if login.url == self._url else None

    def save(self, login: StoredLogin) -> None:
        """Keep the login instead of the one before.

        Raises:
            OSError
        """
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Only its owner can read what this makes.
        descriptor, name = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.json.encode(login))
            Path(name).replace(self._path)
        except OSError:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise

    def delete(self) -> bool:
        """Delete the login, and return whether there was one."""
        try:
            self._path.unlink()
        except FileNotFoundError:
            return False
        return True
