"""A file that is to be read, as the readers of formats get it."""

import zipfile
from dataclasses import dataclass
from functools import cached_property

from nanobot.reading.archives import open_archive
from nanobot.reading.bounds import DocumentBounds


@dataclass(frozen=True)
class Source:
    """The bytes of a file, what was declared about them, and what reading them may cost. `page_url`: where on
    the web it is from.
    """

    content: bytes
    bounds: DocumentBounds
    charset: str | None = None
    page_url: str = ""

    @cached_property
    def archive(self) -> zipfile.ZipFile:
        """The zip archive that the file is, its directory within bounds.

        Raises:
            Unreadable: it is broken, encrypted, or would unpack to too much.
        """
        return open_archive(self.content, self.bounds)
