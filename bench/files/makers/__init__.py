"""The makers of documents, one module for each library or kind; each has a function `cases()`."""

from collections.abc import Iterator

from bench.files.case import Case
from bench.files.makers import decks, mails, pdfs, texts, word_documents, workbooks

_MAKERS = (word_documents, workbooks, decks, pdfs, texts, mails)


def all_cases() -> Iterator[Case]:
    """Yield the whole corpus; file names are unique."""
    for maker in _MAKERS:
        yield from maker.cases()
