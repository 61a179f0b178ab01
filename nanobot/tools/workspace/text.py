"""Files as text that can be changed: in UTF-8, with the line ends that they have."""

import msgspec

from nanobot.core.errors import WorkspaceError

MOST_BYTES = 2 * 1024 * 1024
"""How large a file may be that is changed in part."""
_MARK = "\ufeff"


class EditableText(msgspec.Struct, frozen=True):
    """The text of a file with `\\n` at the ends of lines, and how it is written."""

    text: str
    newline: str = "\n"
    has_mark: bool = False

    @classmethod
    def of(cls, content: bytes, path: str) -> "EditableText":
        """Return the text of a file.

        Raises:
            WorkspaceError: it is none in UTF-8, or too long.
        """
        if len(content) > MOST_BYTES:
            raise WorkspaceError(
                f"{path!r} has {len(content)} bytes: only files of at most {MOST_BYTES} are changed in part"
            )
        try:
            text = content.decode()
        except UnicodeDecodeError:
            raise WorkspaceError(
                f"{path!r} is no text in UTF-8: it can be written anew, not changed in part"
            ) from None
        newline = "\r\n" if "\r\n" in text and "\n" not in text.replace("\r\n", "") else "\n"
        return cls(text.removeprefix(_MARK).replace(newline, "\n"), newline, text.startswith(_MARK))

    def encoded(self, text: str) -> bytes:
        """Return `text` as it is written into this file."""
        return f"{_MARK if self.has_mark else ''}{text.replace(chr(10), self.newline)}".encode(
            "utf-8", "replace"
        )


def size_of(content: bytes) -> str:
    """Return how long a file is, in words."""
    lines = content.count(b"\n") + (not content.endswith(b"\n") if content else 0)
    return f"{lines:,} line{'s' if lines != 1 else ''}, {len(content):,} bytes"
