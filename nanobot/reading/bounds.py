"""What reading a file may cost."""

import msgspec


class DocumentBounds(msgspec.Struct, frozen=True):
    """The limits of reading one file.

    `max_bytes` is the size of the file, `max_characters` that of its text, which is cut there. `wall_s`,
    `cpu_s` and `memory_bytes` (of address space, where the system can limit it) limit the process that reads
    it. An archive may have `max_members`, `max_unpacked_bytes` in all, and, unless it is small, unpack to
    `max_ratio` times its size. A PDF may have `max_pages`, a workbook `max_rows`, counting empty ones. Of its
    pictures, `max_pictures` of `max_picture_bytes` in all are kept.
    """

    max_bytes: int = 20 * 1024 * 1024
    max_characters: int = 80_000
    wall_s: float = 30.0
    cpu_s: int = 20
    memory_bytes: int = 1024 * 1024 * 1024
    max_members: int = 5_000
    max_unpacked_bytes: int = 256 * 1024 * 1024
    max_ratio: int = 200
    max_pages: int = 2_000
    max_rows: int = 200_000
    max_pictures: int = 8
    max_picture_bytes: int = 4 * 1024 * 1024
