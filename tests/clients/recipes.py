"""The code of the pages in docs/use, so that what is tested is what the pages say."""

import re
from pathlib import Path

import msgspec

from tests.clients.serving import ROOT

USE = ROOT / "docs" / "use"
ADDRESS = "http://localhost:8900"


class Block(msgspec.Struct, frozen=True):
    """A block of code, and what it prints where the page says so."""

    kind: str
    text: str
    output: str | None


def blocks(page: Path) -> list[Block]:
    found = re.findall(
        r"```(\w+)\n(.*?)```(?:\n```text\n(.*?)```)?", page.read_text(encoding="utf-8"), re.DOTALL
    )
    return [Block(kind, text, output or None) for kind, text, output in found]


def recipe(name: str, kind: str, address: str = ADDRESS) -> str:
    """Return the one block of `kind` on the page NAME, for a server at `address`."""
    (found,) = [block for block in blocks(USE / f"{name}.md") if block.kind == kind]
    return found.text.replace(ADDRESS, address)
