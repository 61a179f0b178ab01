"""Files that were sent along with a message, kept as uploads of its session so that the model can read on."""

import logging

from nanobot.core.clock import Clock
from nanobot.core.errors import UploadsFull
from nanobot.core.ids import Randomness, new_file_id
from nanobot.core.uploads import Upload, Uploads

PURPOSE = "user_data"
_log = logging.getLogger(__name__)


class KeptFiles:
    """Keeps files as uploads, within the quota of their session. `ttl_s` 0: for ever."""

    def __init__(
        self, uploads: Uploads, clock: Clock, randomness: Randomness, *, quota_bytes: int, ttl_s: float
    ) -> None:
        self._uploads = uploads
        self._clock = clock
        self._randomness = randomness
        self._quota_bytes = quota_bytes
        self._ttl_s = ttl_s

    async def keep(self, name: str, content: bytes, session_key: str) -> str | None:
        """Return the id of the upload; None where the session has no room for it.

        Raises:
            StoreError: it cannot be written.
        """
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
        try:
            await self._uploads.add_upload(upload, content, self._quota_bytes)
        except UploadsFull:
            _log.info("a file that is longer than its text is not kept: the uploads of its session are full")
            return None
        return upload.id
