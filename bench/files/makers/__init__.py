"""The makers of documents, one module for each library or kind; each has a function `cases()`."""

from collections.abc import Iterator

from bench.files.case import Case
from bench.files.makers import (
    decks,
    mails,
    pdf_features,
    pdfs,
    short_texts,
    texts,
    word_documents,
    workbook_features,
    workbooks,
)

_MAKERS = (
    *(word_documents, workbooks, workbook_features, decks, pdfs, pdf_features),
    *(texts, short_texts, mails),
)


def all_cases() -> Iterator[Case]:
    """Yield the whole corpus; file names are unique."""
    for maker in _MAKERS:
        yield from maker.cases()
