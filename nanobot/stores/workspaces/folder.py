"""The directory with all workspaces, `workspaces/` in the data directory.

A session's own is named after its number and a keyed digest of its identity, so that no name tells a session
key, no two sessions share one, and a session that has the key of a deleted one finds nothing of it.
Everything here blocks: call it in a thread.
"""

import contextlib
import hashlib
import os
import secrets
import threading
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from nanobot.core.errors import StoreError
from nanobot.core.late_pattern import LatePattern
from nanobot.core.workspace import SessionIdentity
from nanobot.stores.kept_folder import KeptFolder
from nanobot.stores.workspaces.copying import copy_files
from nanobot.stores.workspaces.removing import remove_tree

FOLDER = "workspaces"
_SECRET = "secret"  # noqa: S105 - the name of a file
_SECRET_BYTES = 32
_NAME = LatePattern(r"([0-9a-f]{8,16})-[0-9a-f]{32}")


class WorkspaceFolder:
    """All workspaces of a data directory."""

    def __init__(self, directory: Path) -> None:
        self._folder = directory / FOLDER
        self._known: bytes | None = None
        self._making = threading.Lock()
        self._kept = KeptFolder(self._folder)
        self.check = self._kept.check

    def path(self, identity: SessionIdentity) -> Path | None:
        """Return where the workspace of the session is, None where it has none yet.

        Raises:
            StoreError: it cannot be found out.
        """
        with self._reported():
            if not self._folder.is_dir():
                return None
            path = self._folder / self._name(identity)
            return path if path.is_dir() else None

    def make(self, identity: SessionIdentity) -> Path:
        """Return where the workspace of the session is, which is made if it has none yet.

        Raises:
            StoreError: it cannot be made.
        """
        with self._reported():
            self._kept.make()
            path = self._folder / self._name(identity)
            path.mkdir(mode=0o700, exist_ok=True)
            return path

    def open_to_commands(self, path: Path) -> None:
        """Let the users of commands go through to the files of a workspace, by its name, which nobody can
        guess. Only a server that is root has such users.

        Raises:
            StoreError
        """
        if os.geteuid() == 0:
            with self._reported():
                for each in (self._folder, path):
                    each.chmod(0o711)

    def copy(self, source: SessionIdentity, target: SessionIdentity) -> None:
        """Let a new session have the files of another, if that has some; what is no plain file stays behind.

        Raises:
            StoreError
        """
        path = self.path(source)
        if path is None:
            return
        try:
            copy_files(path, self.make(target))
        except StoreError:
            self.delete((target,))
            raise

    def delete(self, identities: Iterable[SessionIdentity]) -> None:
        """Delete the workspaces of the sessions, as far as they have one; what cannot be deleted now goes
        with `sweep`.
        """
        for identity in identities:
            path = self.path(identity)
            if path is not None:
                remove_tree(path)

    def numbers(self) -> tuple[int, ...]:
        """Return the numbers of the sessions that have, or had, a workspace."""
        return tuple(sorted({number for number, _ in self._workspaces()}))

    def sweep(self, numbers: Collection[int], sessions: Iterable[SessionIdentity]) -> int:
        """Delete the workspaces of sessions of these `numbers` that are not in `sessions`; return how many
        went. A crash leaves some, and a call that ended after its session was deleted.

        Raises:
            StoreError: none of the workspaces is of one of these sessions, though they should have some: the
                secret is another one than they were made with.
        """
        kept = {identity.number: self._name(identity) for identity in sessions}
        found = [(number, path) for number, path in self._workspaces() if number in numbers]
        of_sessions = [path.name == kept[number] for number, path in found if number in kept]
        if of_sessions and not any(of_sessions):
            raise StoreError(
                f"{self._folder / _SECRET} is not the one with which the workspaces there were made: none of"
                " them is deleted; put it back from a backup"
            )
        gone = [path for number, path in found if path.name != kept.get(number)]
        return sum([remove_tree(path) for path in gone])

    def _workspaces(self) -> list[tuple[int, Path]]:
        try:
            found = list(self._folder.iterdir())
        except OSError:
            # none yet
            return []
        return [(int(match[1], 16), path) for path in found if (match := _NAME.fullmatch(path.name))]

    @contextlib.contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(f"the workspaces in {self._folder} cannot be used ({error.strerror})") from error

    def _name(self, identity: SessionIdentity) -> str:
        known_by = f"{identity.number}\0{identity.created_at!r}\0{identity.key}".encode()
        digest = hashlib.blake2b(known_by, key=self._secret(), digest_size=16).hexdigest()
        return f"{identity.number:08x}-{digest}"

    def _secret(self) -> bytes:
        """Return the secret, made with the first workspace: it lies beside them, so that a copy of the folder
        has it, too.

        Raises:
            StoreError: it is damaged, and there are workspaces that only it finds again.
        """
        # Threads that came at once would each make one, and all but the last name workspaces that no later
        # start finds.
        with self._making:
            if self._known is None:
                self._known = self._read_secret() or self._make_secret()
            return self._known

    def _read_secret(self) -> bytes | None:
        try:
            secret = (self._folder / _SECRET).read_bytes()
        except FileNotFoundError:
            return None
        return secret if len(secret) == _SECRET_BYTES else None

    def _make_secret(self) -> bytes:
        path = self._folder / _SECRET
        if self._workspaces():
            # Another process may have been first.
            if (secret := self._read_secret()) is not None:
                return secret
            raise StoreError(
                f"{path} is missing or damaged: without it the workspaces there belong to nobody; put it back"
                " from a backup, or move the folder away"
            )
        secret = os.urandom(_SECRET_BYTES)
        partial = path.with_name(f"{_SECRET}.{secrets.token_hex(4)}.part")
        partial.touch(mode=0o600, exist_ok=False)
        with partial.open("wb") as file:
            file.write(secret)
            file.flush()
            os.fsync(file.fileno())
        try:
            if path.exists() and self._read_secret() is None:
                # Damaged, and of no use to anybody.
                path.unlink()
            # Unlike a rename, this leaves a file alone that another process has made meanwhile.
            os.link(partial, path)
        except FileExistsError:
            return self._read_secret() or secret
        finally:
            partial.unlink()
        return secret
