"""PDFs for tests, written object by object: text at places, lines, forms, notes, links."""

from collections.abc import Iterable, Sequence


def written(objects: Sequence[bytes]) -> bytes:
    """Return the file of these objects, the first of which is the catalog."""
    body = b"%PDF-1.7\n"
    places = []
    for number, content in enumerate(objects, 1):
        places.append(len(body))
        body += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    table = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1) + b"".join(
        b"%010d 00000 n \n" % place for place in places
    )
    end = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(body))
    return body + table + end


def stream(content: bytes, entries: str = "") -> bytes:
    return b"<< /Length %d %b >>\nstream\n%b\nendstream" % (len(content), entries.encode(), content)


def at(x: float, y: float, text: str, size: float = 10, turned: bool = False) -> str:
    """Return what draws the text there; `turned`: a quarter to the left."""
    place = f"0 1 -1 0 {x} {y} Tm" if turned else f"1 0 0 1 {x} {y} Tm"
    return f"BT /F1 {size} Tf {place} ({text}) Tj ET\n"


def line(x0: float, y0: float, x1: float, y1: float) -> str:
    return f"{x0} {y0} m {x1} {y1} l S\n"


def page(
    *drawn: str,
    annotations: Iterable[str] = (),
    more: Sequence[bytes] = (),
    catalog: str = "",
    entries: str = "",
    resources: str = "",
) -> bytes:
    """Return a PDF of one page. Annotations are objects 10 and on, `more` come after these."""
    notes = list(annotations)
    annots = " ".join(f"{10 + number} 0 R" for number in range(len(notes)))
    filler = [b"null"] * 4
    return written(
        [
            f"<< /Type /Catalog /Pages 2 0 R {catalog} >>".encode(),
            b"<< /Type /Pages /Kids [4 0 R] /Count 1 >>",
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 5 0 R /Annots [{annots}]"
            f" /Resources << /Font << /F1 3 0 R >> {resources} >> {entries} >>".encode(),
            stream("".join(drawn).encode("cp1252")),
            *filler,
            *(note.encode() for note in notes),
            *more,
        ]
    )
