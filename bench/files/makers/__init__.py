"""The makers of documents, one module for each library or kind; each has a function `cases()`."""

from collections.abc import Iterator

from bench.files.case import Case
from bench.files.makers import (
    books,
    decks,
    mails,
    open_documents,
    pdf_features,
    pdfs,
    short_texts,
    texts,
    word_documents,
    word_parts,
    workbook_features,
    workbooks,
)

_MAKERS = (
    *(word_documents, word_parts, workbooks, workbook_features, decks, open_documents, books),
    *(pdfs, pdf_features, texts, short_texts, mails),
)


def all_cases() -> Iterator[Case]:
    """Yield the whole corpus; file names are unique."""
    for maker in _MAKERS:
        yield from maker.cases()
