"""Files that commands write: new ones, whole or not at all, that only their owner may read."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from nanobot.core.errors import StoreError


@contextlib.contextmanager
def new_file(path: Path | None) -> Iterator[BinaryIO]:
    """Yield a file that becomes `path` once all of it is written; the standard output for None.

    Raises:
        StoreError: `path` exists, and is left as it is, or it cannot be written.
    """
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if path.exists():
        raise StoreError(f"{path} exists already: name a new file, nothing was written")
    partial = path.with_name(path.name + ".partial")
    try:
        partial.unlink(missing_ok=True)
        # Before anything is in it: only its owner may read it.
        partial.touch(mode=0o600)
        with partial.open("wb") as stream:
            yield stream
        partial.rename(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise StoreError(f"cannot write {path} ({error.strerror}): nothing was kept of it") from error
