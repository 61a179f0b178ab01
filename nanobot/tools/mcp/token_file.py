"""What a login at an MCP server has brought: kept in a file that only the server's user can read."""

import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

DIRECTORY = "mcp-logins"
_LOCK_PAUSE_S = 0.05


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

    @contextlib.asynccontextmanager
    async def locked(self, within_s: float) -> AsyncIterator[None]:
        """Keep everybody else from changing the login meanwhile, in other processes, too. Every change is
        made under this: what renews a token does so once, and whoever comes second would lose the login.

        Raises:
            TimeoutError: somebody else has kept it for so long.
            OSError: it cannot be written.
        """
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # It stays: another one in its place would be another lock.
        descriptor = os.open(self._path.with_name(f".{self._path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            async with asyncio.timeout(within_s):
                while not _try_lock(descriptor):  # noqa: ASYNC110 - other processes set no event here
                    await asyncio.sleep(_LOCK_PAUSE_S)
            yield
        finally:
            os.close(descriptor)

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
                # After a loss of power it is the one before or this one: that one may be used up.
                file.flush()
                os.fsync(file.fileno())
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


def _try_lock(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True
