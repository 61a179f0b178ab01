"""The secret of a data directory. The names by which providers know sessions are derived from it."""

import contextlib
import os
from pathlib import Path

from nanobot.core.errors import StoreError

FILE_NAME = "cache.secret"
_BYTES = 32


def load_secret(directory: Path) -> bytes:
    """Return the 32 bytes of the secret, made at the first start: a restart finds the caches of upstreams
    again. Only the one server on the directory may call it. Blocks: call it in a thread.

    Raises:
        StoreError: it can be neither read nor written.
    """
    path = directory / FILE_NAME
    try:
        with contextlib.suppress(FileNotFoundError):
            known = path.read_bytes()
            # Otherwise it was cut off: a new one costs no more than what is cached.
            if len(known) == _BYTES:
                return known
        secret = os.urandom(_BYTES)
        partial = path.with_name(f"{FILE_NAME}.part")
        partial.unlink(missing_ok=True)
        partial.touch(mode=0o600, exist_ok=False)
        partial.write_bytes(secret)
        partial.replace(path)
    except OSError as error:
        raise StoreError(
            f"{path} can be neither read nor written ({error.strerror}): it has to belong to the user that"
            " runs the server"
        ) from error
    return secret
