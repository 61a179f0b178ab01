"""Headers and footers of the pages that a sheet is printed on."""

import re
from collections.abc import Iterator

from nanobot.reading.formats.xml import Element, local_name

_CODE = re.compile(r'&(?:"[^"]*"|\d{1,3}|K[0-9A-Fa-f]{6}|K\d\d[+-]\d{3}|(.))', re.DOTALL)
_SHOWN = {"&": "&", "P": "#", "N": "#", "L": " | ", "C": " | ", "R": " | "}
"""What codes stand for: numbers of pages, and the left, middle and right part. Others are left out."""
_KINDS = {"first": " of the first page", "even": " of even pages", "odd": ""}


def margin_lines(element: Element) -> Iterator[str]:
    """Yield what stands above and below the pages, such as `header: Secret`; numbers of pages are `#`."""
    for child in element:
        match = re.fullmatch(r"(odd|even|first)(Header|Footer)", local_name(child))
        if match is None:
            continue
        text = _CODE.sub(lambda code: _SHOWN.get(code[1] or "", ""), child.text or "")
        parts = [" ".join(part.split()) for part in text.split(" | ")]
        shown = " | ".join(filter(None, parts))
        if any(sign.isalnum() for sign in shown):
            yield f"{match[2].lower()}{_KINDS[match[1]]}: {shown}"
