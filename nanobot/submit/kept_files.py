"""Files that were sent along with a message, kept as uploads of its session so that the model can read on,
and that its commands can work on them.
"""

import logging
from collections.abc import Sequence

from nanobot.core.accounts import matches
from nanobot.core.clock import Clock
from nanobot.core.errors import StoreError, UploadNotFound, UploadsFull
from nanobot.core.ids import Randomness, new_file_id
from nanobot.core.uploads import Upload, Uploads

PURPOSE = "user_data"
_MOST_COMPARED = 100
_log = logging.getLogger(__name__)


class KeptFiles:
    """Keeps files as uploads, within the quota of their session. `ttl_s` 0: forever. `commands`: patterns of
    the sessions that run commands, whose files are all kept.
    """

    def __init__(
        self,
        uploads: Uploads,
        clock: Clock,
        randomness: Randomness,
        *,
        quota_bytes: int,
        ttl_s: float,
        commands: Sequence[str] = (),
    ) -> None:
        self._commands = commands
        self._uploads = uploads
        self._clock = clock
        self._randomness = randomness
        self._quota_bytes = quota_bytes
        self._ttl_s = ttl_s

    def keeps_all(self, session_key: str) -> bool:
        """Return whether every file that is sent to the session is to be kept."""
        return any(matches(session_key, pattern) for pattern in self._commands)

    async def keep(self, name: str, content: bytes, session_key: str, added: list[str]) -> str | None:
        """Return the id of the upload, which may be there already; None where the session has no room for it.

        `added` gets the id of one that was not there, for `take_back`.

        Raises:
            StoreError: it cannot be written.
        """
        if (known := await self._known(name, content, session_key)) is not None:
            return known
        now = self._clock.now()
        upload = Upload(
            id=new_file_id(now, self._randomness),
            session_key=session_key,
            name=name,
            purpose=PURPOSE,
            size_bytes=len(content),
            created_at=now,
            expires_at=now + self._ttl_s if self._ttl_s else None,
        )
        # Before it is there: whoever waits for it may be cancelled.
        added.append(upload.id)
        try:
            await self._uploads.add_upload(upload, content, self._quota_bytes)
        except UploadsFull:
            _log.info("a file that was sent along is not kept: the uploads of its session are full")
            return None
        return upload.id

    async def take_back(self, added: Sequence[str], session_key: str) -> None:
        """Delete uploads that were kept for a request which was refused."""
        for upload_id in added:
            try:
                await self._uploads.delete_upload(upload_id, session_key)
            except UploadNotFound:
                pass
            except StoreError:
                _log.warning("the file %s of a request that was refused is still there", upload_id)

    async def _known(self, name: str, content: bytes, session_key: str) -> str | None:
        """Return the id of an upload that is this very file: clients send one again with each new try."""
        page = await self._uploads.uploads(session_key, limit=_MOST_COMPARED)
        for upload in page.uploads:
            if (upload.name, upload.size_bytes) == (name, len(content)):
                try:
                    if (await self._uploads.open_upload(upload.id, session_key))[1] == content:
                        return upload.id
                except UploadNotFound:
                    # It has gone meanwhile.
                    pass
        return None
