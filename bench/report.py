"""What is shown of the figures: a table in plain text, a JSON file, and a picture."""

from collections.abc import Mapping, Sequence
from typing import Final
from xml.sax.saxutils import escape

import msgspec

from bench.figures import Row
from bench.goals import Verdict


class Results(msgspec.Struct, frozen=True):
    """Everything that one run found. `made_at` in ISO 8601, `took_s` seconds of wall time."""

    made_at: str
    took_s: float
    machine: Mapping[str, str]
    rows: Sequence[Row]
    verdicts: Sequence[Verdict]


def number(value: float) -> str:
    """Return `value` with three figures, thousands separated."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def table(results: Results) -> str:
    """Return the rows and the verdicts as text."""
    lines = [
        f"{'':<61}{'':>5}{'direct':>10}{'floor':>10}{'floor-full':>12}{'nanobot':>10}"
        f"{'× floor':>9}{'× full':>8}"
    ]
    for row in results.rows:
        direct, floor, full = (_cell(value) for value in (row.direct, row.floor, row.floor_full))
        ratio, ratio_full = (_ratio(value) for value in (row.ratio, row.ratio_full))
        lines.append(
            f"{row.label:<61}{row.unit:>5}{direct:>10}{floor:>10}{full:>12}{number(row.nanobot):>10}"
            f"{ratio:>9}{ratio_full:>8}"
        )
    lines += ["", f"{'goal':<57}{'':>13}{'limit':>10}{'measured':>10}{'floor-full':>12}"]
    for verdict in results.verdicts:
        goal = verdict.goal
        limit = f"{'≥' if goal.at_least else '≤'} {number(goal.limit)}"
        floor = "" if verdict.floor is None else number(verdict.floor)
        result = "met" if verdict.met else "MISSED"
        lines.append(
            f"{goal.label:<57}{goal.unit:>13}{limit:>10}{number(verdict.value):>10}{floor:>12}  {result}"
        )
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    return "" if value is None else number(value)


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


# The page -----------------------------------------------------------------------------------------

BEGIN: Final = "<!-- written by make bench -->"
END: Final = "<!-- end of what make bench writes -->"


def page(text: str, results: Results) -> str:
    """Return the text of `docs/benchmark.md` with these figures between its two marks."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{_summary(results)}{END}{after}"


def _summary(results: Results) -> str:
    """Return the comparison in a sentence, and the rows of `_SHOWN` as a table, in Markdown."""
    rows = {row.key: row for row in results.rows}
    machine = results.machine
    lines = []
    plain, many = rows.get("plain@1"), rows.get("cpu@64")
    if plain is not None and plain.floor_full is not None and many is not None and many.floor is not None:
        lines += [
            f'A request to a Starlette "hello world" under uvicorn costs {number(plain.floor_full)} µs of CPU'
            f" on this machine. A turn of nanobot costs {number(many.nanobot)} µs with 64 clients, as much"
            f" as {many.nanobot / plain.floor_full:.1f} such requests; the floor, which does the least that"
            f" stores a conversation and asks a model, costs {number(many.floor)} µs.",
            "",
        ]
    lines += [
        f"{results.made_at[:10]}, {machine['processor']}, {machine['system']}, Python {machine['python']},"
        f" SQLite {machine['sqlite']}; {sum(verdict.met for verdict in results.verdicts)} of"
        f" {len(results.verdicts)} goals met.",
        "",
        "| | | floor | floor-full | nanobot | × floor | × floor-full |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {row.label} | {row.unit} | {_cell(row.floor)} | {_cell(row.floor_full)} | {number(row.nanobot)}"
        f" | {_ratio(row.ratio)} | {_ratio(row.ratio_full)} |"
        for row in results.rows
        if row.key.startswith(_SHOWN)
    ]
    lines += ["", "| goal | limit | measured | |", "|---|--:|--:|---|"]
    lines += [
        f"| {verdict.goal.label} | {'≥' if verdict.goal.at_least else '≤'} {number(verdict.goal.limit)}"
        f" {verdict.goal.unit} | {number(verdict.value)} | {'met' if verdict.met else '**missed**'} |"
        for verdict in results.verdicts
    ]
    return "\n".join(lines) + "\n"


_SHOWN: Final = (
    "plain@",
    "cpu@",
    "rate@",
    "paced@",
    "slow_rate@",
    "writes@",
    "chunk@",
    "history@",
    "depth",
    "start.",
    "memory",
)


# The picture --------------------------------------------------------------------------------------

_WIDTH: Final = 860
_LEFT: Final = 312
_BAR: Final = 328
_LINE: Final = 26
_CAP: Final = 2.0
_STYLE: Final = """
  text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328; }
  .soft { fill: #59636e; font-size: 12px; }
  .title { font-size: 17px; font-weight: 600; } .head { font-weight: 600; }
  .paper { fill: #ffffff; } .good { fill: #1a7f64; } .bad { fill: #c2410c; } .least { fill: #8c959f; }
  .goal { stroke: #1f2328; stroke-dasharray: 3 3; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; } .soft { fill: #9198a1; }
    .paper { fill: #0d1117; } .good { fill: #3fb68b; } .bad { fill: #f0883e; } .least { fill: #6e7681; }
    .goal { stroke: #e6edf3; }
  }
"""


class Canvas:
    """Lines of SVG, top to bottom; `y` is where the next one stands."""

    def __init__(self) -> None:
        self._shapes: list[str] = []
        self.y = 0.0

    def text(self, x: float, words: str, style: str = "", anchor: str = "start") -> None:
        self._shapes.append(
            f'<text x="{x:g}" y="{self.y:g}" class="{style}" text-anchor="{anchor}">{escape(words)}</text>'
        )

    def bar(self, width: float, style: str, *, top: float, height: float) -> None:
        shape = f'x="{_LEFT}" y="{self.y + top:g}" width="{max(width, 1):.1f}" height="{height:g}"'
        self._shapes.append(f'<rect {shape} rx="2" class="{style}"/>')

    def vertical(self, x: float, top: float, style: str) -> None:
        self._shapes.append(f'<line x1="{x:g}" x2="{x:g}" y1="{top:g}" y2="{self.y:g}" class="{style}"/>')

    def document(self, description: str) -> str:
        height = self.y + 20
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:g}"'
            f' width="{_WIDTH}" height="{height:g}" role="img">\n'
            f"<title>{escape(description)}</title>\n<style>{_STYLE}</style>\n"
            f'<rect width="{_WIDTH}" height="{height:g}" class="paper"/>\n'
            + "\n".join(self._shapes)
            + "\n</svg>\n"
        )


def picture(results: Results) -> str:
    """Return the report as an SVG that reads on light and dark paper."""
    canvas = Canvas()
    met = sum(verdict.met for verdict in results.verdicts)
    canvas.y = 34
    canvas.text(24, "nanobot beside its floor", "title")
    canvas.y += 22
    about = f"{results.machine['processor']} · Python {results.machine['python']} · {results.made_at[:10]}"
    canvas.text(24, f"{about} · {met} of {len(results.verdicts)} goals met", "soft")
    if results.verdicts:
        _draw_goals(canvas, results.verdicts)
    rows = [
        row
        for row in results.rows
        if _yardstick(row)[0] is not None
        and row.key.startswith(("cpu@", "rate@", "slow_rate@", "paced@", "chunk@", "start.", "memory@"))
    ]
    if rows:
        _draw_rows(canvas, rows)
    return canvas.document(f"nanobot's benchmark: {met} of {len(results.verdicts)} goals met")


def _draw_goals(canvas: Canvas, verdicts: Sequence[Verdict]) -> None:
    canvas.y += 36
    canvas.text(24, "Goals", "head")
    canvas.text(_LEFT + _BAR / _CAP, "goal", "soft", "middle")
    canvas.text(_WIDTH - 24, "shorter is better", "soft", "end")
    top = canvas.y + 6
    for verdict in verdicts:
        canvas.y += _LINE
        goal = verdict.goal
        canvas.text(24, goal.label)
        canvas.bar(
            min(verdict.share, _CAP) * _BAR / _CAP, "good" if verdict.met else "bad", top=-11, height=14
        )
        limit = f"{'≥' if goal.at_least else '≤'} {number(goal.limit)}"
        canvas.text(_WIDTH - 24, f"{number(verdict.value)} {goal.unit}  ({limit})", "", "end")
    canvas.y += 8
    canvas.vertical(_LEFT + _BAR / _CAP, top, "goal")


def _draw_rows(canvas: Canvas, rows: Sequence[Row]) -> None:
    canvas.y += 36
    canvas.text(24, "Figures: nanobot above, below it the floor, or floor-full (*)", "head")
    canvas.text(_WIDTH - 24, "nanobot, floor (ratio)", "soft", "end")
    for row in rows:
        found, compared = _yardstick(row)
        floor = found or 0.0
        canvas.y += _LINE
        longest = max(row.nanobot, floor)
        canvas.text(24, row.label)
        canvas.bar(row.nanobot / longest * _BAR, "good", top=-12, height=8)
        canvas.bar(floor / longest * _BAR, "least", top=-3, height=5)
        ratio = f"({compared:.2f}×)" if compared is not None else ""
        ratio += "*" * (row.floor is None)
        canvas.text(_WIDTH - 24, f"{number(row.nanobot)}, {number(floor)} {row.unit} {ratio}", "", "end")
    canvas.y += 8


def _yardstick(row: Row) -> tuple[float | None, float | None]:
    """Return what the row is compared with, the floor or else floor-full, and the ratio."""
    return (row.floor_full, row.ratio_full) if row.floor is None else (row.floor, row.ratio)
