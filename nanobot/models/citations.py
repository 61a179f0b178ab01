"""Sources as providers name them: as annotations of the text, or as lists which its marks refer to.

What is no source is left out: an answer is not lost for it.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from nanobot.core.late_pattern import LatePattern
from nanobot.core.message import Citation

MOST_CITATIONS = 256
_LONGEST_URL, _LONGEST_TITLE = 4_096, 512
_MARK = LatePattern(r"\[(\d{1,3})\]")
_SCHEMES = ("http://", "https://")


def of_annotations(annotations: object, text: str) -> tuple[Citation, ...]:
    """Return the sources in OpenAI's annotations, in either of its shapes: `url_citation` as a field or as
    the annotation itself.
    """
    return bounded(_annotated(annotations, len(text)))


def of_lists(urls: object, results: object, text: str) -> tuple[Citation, ...]:
    """Return the sources in lists beside the answer: addresses (`citations`), and the same with titles
    (`search_results`). `[2]` in the text means the second; one without a mark stands at the text's end.
    """
    sources = _listed(urls, results)
    return bounded(_marked(sources, text)) if sources else ()


def citation(url: object, title: object, start: object, end: object, length: int) -> Citation | None:
    """Return the source of a stretch of a text with this `length`; None where the address is none."""
    if not isinstance(url, str) or not url.lower().startswith(_SCHEMES) or len(url) > _LONGEST_URL:
        return None
    named = title[:_LONGEST_TITLE] if isinstance(title, str) else ""
    if type(start) is not int or type(end) is not int or not 0 <= start <= end <= length or not end:
        start = end = length
    return Citation(url, named, start, end)


def bounded(found: Iterable[Citation | None]) -> tuple[Citation, ...]:
    """Return the sources, each once for a stretch, and not without number."""
    kept: dict[Citation, None] = {}
    for each in found:
        if len(kept) == MOST_CITATIONS:
            break
        if each is not None:
            kept[each] = None
    return tuple(kept)


def moved(source: Citation, by: int) -> Citation:
    """Return the source of a text that stands so many characters further behind."""
    return Citation(source.url, source.title, source.start + by, source.end + by) if by else source


def _annotated(annotations: object, length: int) -> Iterator[Citation | None]:
    for each in annotations if isinstance(annotations, list) else ():
        if not isinstance(each, dict) or each.get("type", "url_citation") != "url_citation":
            continue
        said = each.get("url_citation", each)
        if isinstance(said, dict):
            places = said.get("start_index"), said.get("end_index")
            yield citation(said.get("url"), said.get("title"), *places, length)


def _listed(urls: object, results: object) -> list[tuple[Any, Any]]:
    """Return the addresses and titles, in the order that marks count them by."""
    found = [
        (each.get("url"), each.get("title"))
        for each in (results if isinstance(results, list) else ())
        if isinstance(each, dict)
    ]
    if not isinstance(urls, list) or not urls:
        return found
    titles = {url: title for url, title in found if isinstance(url, str)}
    said = [each.get("url") if isinstance(each, dict) else each for each in urls]
    return [(url, titles.get(url) if isinstance(url, str) else None) for url in said]


def _marked(sources: list[tuple[Any, Any]], text: str) -> Iterator[Citation | None]:
    marked: set[int] = set()
    for mark in _MARK.finditer(text):
        number = int(mark[1]) - 1
        if 0 <= number < len(sources):
            marked.add(number)
            yield citation(*sources[number], mark.start(), mark.end(), len(text))
    for number, source in enumerate(sources):
        if number not in marked:
            yield citation(*source, None, None, len(text))
