"""EPUB by mkepub."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import mkepub

from bench.files.case import Case


def cases() -> Iterator[Case]:
    book = mkepub.Book(title="The Sea", author="Ann Onymous")
    first = book.add_page(
        "The Storm", "<h1>The Storm</h1><p>It was a <em>dark</em> night.<br/>Rain fell.</p>"
    )
    book.add_page(
        "Calm", "<p>Then 10<sup>6</sup> stars.</p><ol><li>north</li><li>south</li></ol>", parent=first
    )
    book.add_page(
        "Prices", "<table><tr><th>what</th><th>price</th></tr><tr><td>tea</td><td>2</td></tr></table>"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "book.epub"
        book.save(path)
        content = path.read_bytes()
    yield Case(
        "EPUB",
        "chapters.epub",
        content,
        "The Sea Ann Onymous The Storm It was a dark night Rain fell Then stars north south what price tea 2",
        (("what", "price"), ("tea", "2")),
        texts=("# The Storm", "10^6 stars", "1. north", ": Calm]"),
    )
