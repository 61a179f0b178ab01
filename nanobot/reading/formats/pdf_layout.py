"""The lines of a page of a PDF, put together by where its characters stand.

Characters that follow one another are runs; runs side by side are lines; lines that leave the same strip of
the page free are columns of text, which are read one after the other; lines whose runs stand below one
another are tables.
"""

import dataclasses
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from nanobot.reading.formats.pdf_characters import Character
from nanobot.reading.formats.pdf_spread import Letter, respaced

_WORD_GAP = 0.22
"""From how far apart, in sizes of the text, two characters belong to two words."""
_COLUMN_GAP = 1.1
"""From how far apart two runs belong to two columns of a table, or of a page."""
_PROSE_CHARACTERS = 22
_PROSE_LINES = 4
_PROSE_FILL = 0.6
_PROSE_LEADING = 1.9
_WIDE_FILL = 0.45
_WIDE_LEADING = 2.8
_MAX_COLUMN_DEPTH = 4
_LONGEST_CELL_LINE = 60
_RAISED_DIGITS = frozenset("0123456789+-−")
_RIGHT_TO_LEFT = (range(0x590, 0x900), range(0xFB1D, 0xFE00), range(0xFE70, 0xFF00))


@dataclass(slots=True)
class PageRun:
    """Characters that follow one another on one line. `block`: the number of the table or picture that the
    run stands for.
    """

    text: str
    x0: float
    x1: float
    y: float
    size: float
    is_rtl: bool = False
    block: int | None = None

    @property
    def low(self) -> float:
        return self.y - 0.2 * self.size

    @property
    def high(self) -> float:
        return self.y + 0.8 * self.size


@dataclass(slots=True)
class PageLine:
    """Runs side by side, from left to right, with the words between two column gaps in one."""

    runs: list[PageRun] = field(default_factory=list)

    @property
    def low(self) -> float:
        return min(run.low for run in self.runs)

    @property
    def high(self) -> float:
        return max(run.high for run in self.runs)

    @property
    def size(self) -> float:
        return max(self.runs, key=lambda run: len(run.text)).size

    @property
    def y(self) -> float:
        return max(self.runs, key=lambda run: len(run.text)).y


def runs_of(characters: Iterable[Character]) -> list[PageRun]:
    """Return the runs of characters that are in their order, with spaces between words."""
    runs: list[PageRun] = []
    before: Character | None = None
    letters: list[Letter] = []
    is_spaced = has_space = False
    end = 0.0
    for character in characters:
        if character.is_space:
            is_spaced = True
            # A space without width is one that pdfium sees.
            has_space = has_space or character.end > character.x
            # A space as wide as a column does not count as one.
            if before is not None and character.end - before.end > 0:
                before = before._replace(
                    end=min(max(before.end, character.end), before.end + before.size * 0.6)
                )
            continue
        if before is None or not runs or not _goes_on(runs[-1], before, character):
            if runs:
                runs[-1].text = respaced(runs[-1].text, runs[-1].size, letters)
            runs.append(_run(character))
            letters = [Letter(character.text, 0.0, False)]
        else:
            letters.append(Letter(character.text, character.x - end, has_space))
            _extend(runs[-1], character, _is_gap(runs[-1], character, before, is_spaced))
        before, is_spaced, has_space = character, False, False
        end = character.end
    if runs:
        runs[-1].text = respaced(runs[-1].text, runs[-1].size, letters)
    return runs


def _run(character: Character) -> PageRun:
    is_rtl = any(ord(character.text[0]) in block for block in _RIGHT_TO_LEFT)
    return PageRun(character.text, character.x, character.end, character.y, character.size, is_rtl)


def _goes_on(run: PageRun, before: Character, character: Character) -> bool:
    size = max(min(run.size, character.size), 0.1)
    if abs(character.y - run.y) > 0.25 * size or not 0.75 < character.size / max(run.size, 0.1) < 1.34:
        return False
    if run.is_rtl:
        return -0.5 * size < run.x0 - character.end < _COLUMN_GAP * size or (
            run.x0 - size < character.x < run.x1 + _COLUMN_GAP * size
        )
    return -0.35 * size < character.x - before.end < _COLUMN_GAP * size


def _is_gap(run: PageRun, character: Character, before: Character, is_spaced: bool) -> bool:
    if is_spaced:
        return True
    size = max(run.size, 0.1)
    gap = run.x0 - character.end if run.is_rtl else character.x - before.end
    return gap > _WORD_GAP * size and not (_is_wide(before.text) and _is_wide(character.text))


def _is_wide(text: str) -> bool:
    """Return whether the text ends with a character of a script that has no spaces between words."""
    if not text:
        return False
    return (
        "\u2e80" <= text[-1] <= "\u9fff"
        or "\uac00" <= text[-1] <= "\ud7a3"
        or "\uff00" <= text[-1] <= "\uffef"
    )


def _extend(run: PageRun, character: Character, is_gap: bool) -> None:
    run.text += (" " if is_gap else "") + character.text
    run.x0, run.x1 = min(run.x0, character.x), max(run.x1, character.end)


def lines_of(runs: Sequence[PageRun]) -> list[PageLine]:
    """Return the lines from top to bottom."""
    lines: list[PageLine] = []
    # The largest run of each of the last few lines: how low and how high it reaches, and its size.
    recent: list[tuple[float, float, float, PageLine]] = []
    for run in sorted(runs, key=lambda run: (-run.y, run.x0)):
        # A raised or lowered number belongs to the line beside which most of it stands.
        best, most = -1, 0.5
        low, high, size = run.low, run.high, run.size
        for at, (its_low, its_high, its_size, _) in enumerate(recent):
            share = (min(high, its_high) - max(low, its_low)) / max(min(size, its_size), 0.1)
            if share >= most:
                best, most = at, share
        if best >= 0 and not _stands_in(recent[best][3], run):
            line = recent[best][3]
            line.runs.append(run)
            if size > recent[best][2]:
                recent[best] = (low, high, size, line)
            continue
        lines.append(PageLine([run]))
        recent = [*recent[-3:], (low, high, size, lines[-1])]
    for line in lines:
        line.runs = _joined(sorted(line.runs, key=lambda run: run.x0))
    return sorted(lines, key=lambda line: -line.y)


def _stands_in(line: PageLine, run: PageRun) -> bool:
    """Return whether the run would be written over others of the line: it is another line then."""
    return any(
        min(other.x1, run.x1) - max(other.x0, run.x0) > 0.5 * min(other.x1 - other.x0, run.x1 - run.x0) > 0
        and abs(other.y - run.y) > 0.3 * min(other.size, run.size)
        for other in line.runs
    )


def _joined(runs: list[PageRun]) -> list[PageRun]:
    """Return the runs with those joined that no column gap parts."""
    joined: list[PageRun] = []
    is_rtl = sum(len(run.text) for run in runs if run.is_rtl) * 2 > sum(len(run.text) for run in runs)
    for run in runs:
        last = joined[-1] if joined else None
        is_block = run.block is not None or (last is not None and last.block is not None)
        if last is None or is_block or run.x0 - last.x1 > _COLUMN_GAP * max(last.size, run.size):
            joined.append(dataclasses.replace(run))
            continue
        size = max(last.size, run.size)
        gap = run.x0 - last.x1
        # What is written over other text is no part of its words.
        space = " " if gap > _WORD_GAP * 0.8 * size or gap < -0.5 * size else ""
        if _is_raised(last, run):
            space = "^"
        last.text = f"{run.text}{space}{last.text}" if is_rtl else f"{last.text}{space}{run.text}"
        if len(run.text) > len(last.text) / 2:
            last.y, last.size = run.y, run.size
        last.x1 = max(last.x1, run.x1)
    return joined


def _is_raised(before: PageRun, run: PageRun) -> bool:
    return (
        run.size < 0.85 * before.size
        and run.y - before.y > 0.2 * before.size
        and run.x0 - before.x1 < 0.2 * before.size
        and set(run.text) <= _RAISED_DIGITS
        and before.text[-1:].isalnum()
    )


def in_reading_order(runs: Sequence[PageRun], depth: int = 0) -> Iterator[list[PageLine]]:
    """Yield groups of lines: a page in columns is read column by column."""
    gutter = _gutter(runs) if depth < _MAX_COLUMN_DEPTH and len(runs) < 5_000 else None
    if gutter is None:
        yield lines_of(runs)
        return
    for band in _bands(runs, gutter):
        left = [run for run in band if run.x1 <= gutter]
        right = [run for run in band if run.x0 >= gutter]
        if left and right and len(left) + len(right) == len(band) and _is_prose(left) and _is_prose(right):
            yield from in_reading_order(left, depth + 1)
            yield from in_reading_order(right, depth + 1)
        else:
            yield lines_of(band)


def _gutter(runs: Sequence[PageRun]) -> float | None:
    """Return where a strip of the page divides columns of text, None where nothing does."""
    if len(runs) < 2 * _PROSE_LINES:
        return None
    phrases = [run for line in lines_of(runs) for run in line.runs]
    low, high = min(run.x0 for run in phrases), max(run.x1 for run in phrases)
    size = statistics.median(run.size for run in phrases)
    if high - low < 12 * size:
        return None
    best, fewest = None, len(phrases)
    # Columns begin where many phrases begin.
    starts: dict[int, int] = {}
    for run in phrases:
        starts[round(run.x0 / size)] = starts.get(round(run.x0 / size), 0) + 1
    for place, count in starts.items():
        x = place * size - 0.75 * size
        if count < _PROSE_LINES or not low + 5 * size < x < high - 5 * size:
            continue
        crossing = sum(run.x0 < x < run.x1 for run in phrases)
        left = [run for run in phrases if run.x1 <= x]
        right = [run for run in phrases if run.x0 >= x]
        if crossing < fewest and crossing < 0.5 * len(phrases) and _is_prose(left) and _is_prose(right):
            best, fewest = x, crossing
    return best


def _is_prose(runs: Sequence[PageRun]) -> bool:
    """Return whether the runs are lines of running text, and no cells of a table."""
    lines = lines_of(runs)
    if len(lines) < _PROSE_LINES:
        return False
    left, right = min(run.x0 for run in runs), max(run.x1 for run in runs)
    width = max(right - left, 1.0)
    phrases = [run for line in lines for run in line.runs]
    lengths = [len(run.text) * (2 if _is_wide(run.text) else 1) for run in phrases]
    widths = [(line.runs[-1].x1 - line.runs[0].x0) / width for line in lines]
    gaps = sorted((upper.y - lower.y) / max(upper.size, 0.1) for upper, lower in pairwise(lines))
    # Scripts without spaces are set with more space between lines, and seldom in tables of long cells.
    is_wide = sum(_is_wide(run.text) for run in phrases) * 2 > len(phrases)
    return (
        statistics.median(lengths) >= _PROSE_CHARACTERS
        and statistics.median(widths) >= (_WIDE_FILL if is_wide else _PROSE_FILL)
        and (gaps[len(gaps) // 4] <= _WIDE_LEADING if is_wide else statistics.median(gaps) <= _PROSE_LEADING)
    )


def _bands(runs: Sequence[PageRun], gutter: float) -> Iterator[list[PageRun]]:
    """Yield the runs from top to bottom in bands: those across the strip, and those that leave it free."""
    crossing = [run for run in runs if run.x0 < gutter < run.x1]
    # A line that crosses it may be one phrase of several runs.
    for line in lines_of(runs):
        crossing += [phrase for phrase in line.runs if phrase.x0 < gutter < phrase.x1]
    heights = sorted({(run.low, run.high) for run in crossing}, key=lambda height: -height[1])
    band: list[PageRun] = []
    is_crossed: bool | None = None
    for run in sorted(runs, key=lambda run: -run.y):
        crosses = any(low < run.y + 0.3 * run.size < high for low, high in heights)
        if band and crosses != is_crossed:
            yield band
            band = []
        is_crossed = crosses
        band.append(run)
    if band:
        yield band


@dataclass(slots=True)
class Table:
    """Lines whose runs stand in columns."""

    columns: list[tuple[float, float]]
    lines: list[PageLine]

    def rows(self) -> Iterator[list[str]]:
        for line in self.lines:
            row = [""] * len(self.columns)
            for run in line.runs:
                at = max(range(len(self.columns)), key=lambda column: _shared(self.columns[column], run))
                row[at] = f"{row[at]} {run.text}".strip()
            yield row


def _shared(column: tuple[float, float], run: PageRun) -> float:
    return min(column[1], run.x1) - max(column[0], run.x0)


def tables_in(lines: Sequence[PageLine]) -> Iterator[PageLine | Table]:
    """Yield the lines, those of tables as such."""
    at = 0
    while at < len(lines):
        table = _table_from(lines, at)
        if table is None:
            yield lines[at]
            at += 1
        else:
            yield table
            at += len(table.lines)


def _table_from(lines: Sequence[PageLine], start: int) -> Table | None:
    """Return the table that begins with the line, if one does: at least two lines of two columns."""
    if len(lines[start].runs) < 2:
        return None
    columns = [(run.x0, run.x1) for run in lines[start].runs]
    taken = [lines[start]]
    for line in lines[start + 1 :]:
        before = taken[-1]
        if before.low - line.high > 1.8 * max(before.size, line.size):
            break
        merged = _with_line(columns, line)
        if merged is None or _is_text_below(columns, line):
            break
        columns = merged
        taken.append(line)
    while taken and len(taken[-1].runs) < 2:
        taken.pop()
    if len(taken) < 2 or len(columns) < 2 or sum(len(line.runs) > 1 for line in taken) * 2 < len(taken):
        return None
    return Table(columns, taken)


def _is_text_below(columns: Sequence[tuple[float, float]], line: PageLine) -> bool:
    """Return whether the line is running text after the table, and not what goes on in one of its columns."""
    run = line.runs[0]
    is_in_column = any(abs(run.x0 - left) <= run.size for left, _ in columns[1:])
    return len(line.runs) == 1 and len(run.text) > _LONGEST_CELL_LINE and not is_in_column


def _with_line(columns: list[tuple[float, float]], line: PageLine) -> list[tuple[float, float]] | None:
    """Return the columns with the runs of the line; None where one of these would bridge two of them."""
    merged = list(columns)
    for run in line.runs:
        touched = [column for column in merged if min(column[1], run.x1) > max(column[0], run.x0)]
        if len(touched) > 1:
            return None
        wider = (min(touched[0][0], run.x0), max(touched[0][1], run.x1)) if touched else (run.x0, run.x1)
        merged = sorted([*(column for column in merged if column not in touched), wider])
    if any(left[1] > right[0] for left, right in pairwise(merged)):
        return None
    return merged
