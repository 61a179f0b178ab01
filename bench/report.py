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
    lines = [f"{'':<57}{'':>5}{'direct':>10}{'floor':>10}{'nanobot':>10}{'ratio':>8}"]
    for row in results.rows:
        direct, floor = ("" if value is None else number(value) for value in (row.direct, row.floor))
        ratio = f"{row.ratio:.2f}" if row.ratio is not None else ""
        lines.append(
            f"{row.label:<57}{row.unit:>5}{direct:>10}{floor:>10}{number(row.nanobot):>10}{ratio:>8}"
        )
    lines += ["", f"{'goal':<57}{'':>10}{'limit':>10}{'measured':>10}{'floor':>10}"]
    for verdict in results.verdicts:
        goal = verdict.goal
        limit = f"{'≥' if goal.at_least else '≤'} {number(goal.limit)}"
        floor = "" if verdict.floor is None else number(verdict.floor)
        result = "met" if verdict.met else "MISSED"
        lines.append(
            f"{goal.label:<57}{goal.unit:>10}{limit:>10}{number(verdict.value):>10}{floor:>10}  {result}"
        )
    return "\n".join(lines)


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
        if row.floor is not None and row.key.startswith(("cpu@", "rate@", "chunk@", "start.", "memory@"))
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
    canvas.text(24, "Figures: nanobot above, floor below", "head")
    canvas.text(_WIDTH - 24, "nanobot, floor (ratio)", "soft", "end")
    for row in rows:
        floor = row.floor or 0.0
        canvas.y += _LINE
        longest = max(row.nanobot, floor)
        canvas.text(24, row.label)
        canvas.bar(row.nanobot / longest * _BAR, "good", top=-12, height=8)
        canvas.bar(floor / longest * _BAR, "least", top=-3, height=5)
        ratio = f"({row.ratio:.2f}×)" if row.ratio is not None else ""
        canvas.text(_WIDTH - 24, f"{number(row.nanobot)}, {number(floor)} {row.unit} {ratio}", "", "end")
    canvas.y += 8
