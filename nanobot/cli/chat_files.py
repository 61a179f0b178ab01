"""Files in the chat: what goes along with the next message, and what the agent has written."""

import base64
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

import msgspec

from nanobot.cli.new_file import new_file
from nanobot.cli.terminal import neutral, size
from nanobot.core.errors import NanobotError
from nanobot.core.unseen import escaped, without_unseen
from nanobot.core.workspace import FILE_ID_PREFIX
from nanobot.reading.kinds import picture_type

MOST_ATTACHED_BYTES = 20 * 1024 * 1024
"""The server may take less: that it says itself."""
MOST_WRITTEN = 100
_HEAD_BYTES = 64


class FileRefused(NanobotError):
    """A file of this machine cannot be read, or its name is missing."""

    code = "file_refused"


class Attachment(msgspec.Struct, frozen=True):
    """A file that goes along with a message."""

    name: str
    content: bytes

    def part(self) -> dict[str, object]:
        """Return it as a part of a message, as OpenAI writes them."""
        encoded = base64.b64encode(self.content).decode()
        media_type = picture_type(self.content[:_HEAD_BYTES])
        if media_type is not None:
            return {"type": "image_url", "image_url": {"url": f"data:{media_type};base64,{encoded}"}}
        return {"type": "file", "file": {"filename": self.name, "file_data": encoded}}


class SavableFile(msgspec.Struct, frozen=True):
    """A file that the agent has written. `path`: as the agent calls it."""

    path: str
    size_bytes: int

    def line(self) -> str:
        return f"{size(self.size_bytes):>10}  {shown_path(self.path)}"


def attach(named: str) -> Attachment:
    """Return the file that the user has named. Blocks: call it in a thread.

    Raises:
        FileRefused
    """
    # A path needs no quotes, though a terminal that a file was dropped on may have set some.
    paths = [Path(named).expanduser(), *(Path(word).expanduser() for word in _words(named)[:1])]
    path = next((path for path in paths if path.is_file()), paths[0])
    try:
        if not path.is_file():
            raise FileRefused(f"there is no file {path}")
        if path.stat().st_size > MOST_ATTACHED_BYTES:
            raise FileRefused(f"{path} has more than {size(MOST_ATTACHED_BYTES)}")
        return Attachment(path.name, path.read_bytes())
    except OSError as error:
        raise FileRefused(f"cannot read {path} ({error.strerror})") from None


def save_to(named: str) -> tuple[str, Path]:
    """Return which file of the agent is to be saved, and where.

    Raises:
        FileRefused
    """
    words = _words(named)
    if not 1 <= len(words) <= 2:
        raise FileRefused("name the file, and where to save it: /save docs/report.md ~/report.md")
    path = words[0].removeprefix(FILE_ID_PREFIX)
    name = Path(path).name
    target = Path(words[1]).expanduser() if len(words) == 2 else Path(name)
    return path, target / name if target.is_dir() else target


def save(content: bytes, target: Path) -> None:
    """Write a new file. Blocks: call it in a thread.

    Raises:
        StoreError: it exists, or cannot be written.
    """
    with new_file(target) as stream:
        stream.write(content)


def save_command(file_id: str) -> str:
    """Return what is typed to save the file that a link of the agent is for."""
    return f"/save {shown_path(shlex.quote(unquote(file_id.removeprefix(FILE_ID_PREFIX))))}"


def shown_path(path: str) -> str:
    """Return the path without what drives a terminal, or hides or reorders other characters."""
    return without_unseen(neutral(path), escaped)


def _words(text: str) -> Sequence[str]:
    try:
        return shlex.split(text, posix=sys.platform != "win32")
    except ValueError:
        # A quote that is not closed, as in a name with an apostrophe.
        return text.split()
