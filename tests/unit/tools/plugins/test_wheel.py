"""A wheel that is damaged is refused with the reason, however it is."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from nanobot.core.errors import SkillError
from nanobot.tools.plugins.manifest import PLUGIN_SCHEMA
from nanobot.tools.plugins.wheel import unpack_wheel

MANIFEST = f'{{"$schema": "{PLUGIN_SCHEMA}", "name": "birds"}}'


def written(path: Path, packing: int, change: Callable[[bytes], bytes]) -> Path:
    with zipfile.ZipFile(path, "w", packing) as archive:
        archive.writestr("plugin.json", MANIFEST * 50)
        archive.writestr("é", "x")
    path.write_bytes(change(path.read_bytes()))
    return path


def overwritten(content: bytes) -> bytes:
    """Return the archive with other bytes in its first file, behind the head of what is packed."""
    at = content.index(b"plugin.json") + len("plugin.json") + 12
    return content[:at] + b"\xff" * 24 + content[at + 24 :]


@pytest.mark.parametrize(
    ("packing", "change"),
    [
        (zipfile.ZIP_DEFLATED, overwritten),
        (zipfile.ZIP_LZMA, overwritten),
        (zipfile.ZIP_STORED, overwritten),
        (zipfile.ZIP_STORED, lambda content: content.replace("é".encode(), b"\xff\xfe")),
        (zipfile.ZIP_STORED, lambda content: content[: len(content) // 2]),
    ],
    ids=["deflate", "lzma", "checksum", "name", "cut"],
)
def test_a_damaged_wheel_is_refused(tmp_path: Path, packing: int, change: Callable[[bytes], bytes]) -> None:
    wheel = written(tmp_path / "birds.whl", packing, change)
    (tmp_path / "target").mkdir()
    with pytest.raises(SkillError, match="is no wheel that can be read"):
        unpack_wheel(wheel, tmp_path / "target")
