"""The report as a table, which docs/files.md shows between two markers."""

from collections.abc import Sequence
from pathlib import Path

from bench.files.measure import Reading

PAGE = Path(__file__).parents[2] / "docs" / "files.md"
BEGIN, END = "<!-- files: begin -->", "<!-- files: end -->"


def table(readings: Sequence[Reading]) -> str:
    """Return the report in Markdown, one row for each kind of file."""
    lines = [
        "| kind | files with ≥ 90 % of words | table rows | form values | chart labels | exact pieces |",
        "|---|---|---|---|---|---|",
    ]
    kinds = list(dict.fromkeys(reading.case.kind for reading in readings))
    lines += [_row(kind, [each for each in readings if each.case.kind == kind]) for kind in kinds]
    lines.append(_row("all", readings))
    return "\n".join(lines)


def _row(kind: str, readings: Sequence[Reading]) -> str:
    counts = [
        (sum(reading.is_read for reading in readings), len(readings)),
        (sum(reading.rows for reading in readings), sum(len(reading.case.rows) for reading in readings)),
        (sum(reading.values for reading in readings), sum(len(reading.case.values) for reading in readings)),
        (sum(reading.charts for reading in readings), sum(len(reading.case.charts) for reading in readings)),
        (sum(reading.texts for reading in readings), sum(len(reading.case.texts) for reading in readings)),
    ]
    cells = (f"{count} of {total}" if total else "–" for count, total in counts)
    return f"| {kind} | {' | '.join(cells)} |"


def failures(readings: Sequence[Reading]) -> list[str]:
    """Return what is missing or wrong, one line for each document that is not read as it should be."""
    lines = []
    for reading in readings:
        case = reading.case
        lacks = [
            f"{count} of {len(known)} {what}"
            for what, count, known in (
                ("rows", reading.rows, case.rows),
                ("values", reading.values, case.values),
                ("chart labels", reading.charts, case.charts),
                ("exact pieces", reading.texts, case.texts),
            )
            if count < len(known)
        ]
        if reading.error:
            lines.append(f"{case.kind} {case.name}: {reading.error}")
        elif lacks or not reading.is_read:
            wrong = [f"has {piece!r}" for piece in reading.wrong]
            lines.append(
                f"{case.kind} {case.name}: {', '.join([f'{reading.words:.0%} of the words', *lacks, *wrong])}"
            )
    return lines


def write(readings: Sequence[Reading], page: Path = PAGE) -> None:
    """Put the table between the markers of the page."""
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    if not after:
        raise ValueError(f"{page} lacks the markers {BEGIN} and {END}")
    page.write_text(f"{before}{BEGIN}\n{table(readings)}\n{END}{after}", encoding="utf-8")
