"""What a long conversation costs: tokens, the part of them that a provider has in its cache, CPU a turn; with
summaries, and with everything sent.
"""

import asyncio
import re
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.memory.talks import Reading, Took, serving

TURNS: Final = 2_000
_SHOWN: Final = (20, 50, 100, 200, 500, 1_000, 2_000)
_AROUND: Final = 10
_BESIDE: Final = 100
_ENOUGH: Final = 200
"""So many turns are more than is shown without a summary."""
PLOT: Final = Path(__file__).parents[2] / "docs" / "conversation-cost.svg"
_QUESTION: Final = (
    "In the year {number} of the journey, what did the travellers see beyond the mountains? " * 4
)
_ANSWER: Final = (
    "They saw a wide plain with rivers, herds and towers, and stayed until the snow was gone. " * 12
)


_MOST_YEARS: Final = 280


def summarise(text: str) -> str:
    """Return a summary that keeps what the questions were about: one that does not is not used, and then the
    oldest messages are merely left out.
    """
    years = list(dict.fromkeys(re.findall(r"\d{2,}", text)))[-_MOST_YEARS:]
    return f"Asked what was seen in the years {', '.join(years)}: plains, rivers, herds and towers."


async def conversation(turns: int, *, sends_all: bool) -> tuple[list[Took], list[Took], list[Took]]:
    """Return what each turn took of one conversation, then of its further turns, and of those of a new one
    that alternated with them: the machine was the same for both.
    """
    reading = Reading(_ANSWER, summarise)
    tables: dict[str, dict[str, object]] = {}
    if sends_all:
        tables = {"agent": {"window_tokens": 1 << 30}, "compaction": {"enabled": False}}
    took: list[Took] = []
    async with serving(reading, **tables) as talk:
        for number in range(turns):
            took.append(await talk.ask("bench", _QUESTION.format(number=number)))
            # Between turns of people there is time enough.
            await talk.app.compactor.settled()
        later: list[Took] = []
        new: list[Took] = []
        for number in range(0 if sends_all else _BESIDE):
            for key, some in (("bench", later), ("new", new)):
                some.append(await talk.ask(key, _QUESTION.format(number=number)))
                await talk.app.compactor.settled()
        if not sends_all:
            summary = (await talk.app.store.history("bench", 1)).summary
            assert turns < _ENOUGH or summary is not None, "no summary was good enough to be used"
    return took, later, new


def at(took: Sequence[Took], turn: int) -> tuple[float, float, float]:
    """Return prompt tokens, the share of them that was sent before, and CPU: medians of the turns around."""
    some = took[max(1, turn - _AROUND) : turn + _AROUND]
    return (
        statistics.median(each.prompt for each in some),
        sum(each.cached for each in some) / sum(each.prompt for each in some),
        statistics.median(each.cpu_ms for each in some),
    )


def tables(turns: int = TURNS) -> str:
    """Measure; return the table, and draw the plot."""
    kept, later, new = asyncio.run(conversation(turns, sends_all=False))
    whole, *_ = asyncio.run(conversation(turns, sends_all=True))
    lines = [
        "| turn | prompt, tokens | cached | CPU, ms | all sent: prompt, tokens | cached | CPU, ms |",
        "|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for turn in _SHOWN:
        if turn <= turns:
            cells = [
                f"{tokens:,.0f} | {100 * share:.0f} % | {cpu:.2f}"
                for tokens, share, cpu in (at(kept, turn), at(whole, turn))
            ]
            lines.append(f"| {turn:,} | {' | '.join(cells)} |")
    sent, all_sent = (sum(each.prompt for each in some) for some in (kept, whole))
    cached = sum(each.cached for each in kept) / sent
    lines += [
        "",
        f"{turns:,} turns of {len(_QUESTION + _ANSWER) // 4} tokens: {sent / 1e6:.1f} million prompt tokens,"
        f" of which {100 * cached:.0f} % were sent before; everything sent, {all_sent / 1e6:.0f} million.",
    ]
    lines += ["", *_beside(turns, later, new)]
    PLOT.write_text(plot(kept, whole), encoding="utf-8")
    return "\n".join(lines)


def _beside(turns: int, later: Sequence[Took], new: Sequence[Took]) -> list[str]:
    lines = [
        "| turns at the same time | prompt, tokens | CPU, ms | as a part of that of the long conversation |",
        "|---|--:|--:|--:|",
    ]
    # The long one is at its mean over the time of the others.
    long = statistics.median(each.cpu_ms for each in later)
    for name, some in (
        (f"after {turns:,} turns", later),
        ("a new conversation, turns 10 to 30", new[10:30]),
        ("a new conversation, turns 60 to 100", new[60:100]),
    ):
        cpu = statistics.median(each.cpu_ms for each in some)
        tokens = statistics.median(each.prompt for each in some)
        lines.append(f"| {name} | {tokens:,.0f} | {cpu:.2f} | {100 * cpu / long:.0f} % |")
    return lines


# The plot -----------------------------------------------------------------------------------------

_WIDTH: Final = 820
_HEIGHT: Final = 300
_LEFT: Final = 64
_TOP: Final = 40
_PLOT_WIDTH: Final = 320
_PLOT_HEIGHT: Final = 200
_STYLE: Final = """
  text { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328; }
  .head { font-weight: 600; } .paper { fill: #ffffff; } .axis { stroke: #8c959f; }
  path { fill: none; stroke-width: 2; } .kept { stroke: #1a7f64; } .all { stroke: #c2410c; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; } .paper { fill: #0d1117; } .kept { stroke: #3fb68b; } .all { stroke: #f0883e; }
  }
"""


def plot(kept: Sequence[Took], whole: Sequence[Took]) -> str:
    """Return the prompt's tokens and the CPU of each turn as an SVG, for light and dark paper."""
    graphs = [
        _graph(
            0, "prompt, thousand tokens", [[each.prompt / 1_000 for each in some] for some in (kept, whole)]
        ),
        _graph(1, "CPU, ms", [[each.cpu_ms for each in some] for some in (kept, whole)]),
    ]
    legend = (
        f'<text x="{_LEFT}" y="{_HEIGHT - 14}">green: with summaries · orange: everything sent'
        " · against the number of the turn</text>"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}"'
        f' height="{_HEIGHT}" role="img">\n<title>What a turn costs as a conversation grows</title>\n'
        f'<style>{_STYLE}</style>\n<rect width="{_WIDTH}" height="{_HEIGHT}" class="paper"/>\n'
        + "\n".join([*graphs, legend])
        + "\n</svg>\n"
    )


def _graph(place: int, title: str, lines: Sequence[Sequence[float]]) -> str:
    left = _LEFT + place * (_PLOT_WIDTH + 70)
    smooth = [_smooth(line) for line in lines]
    most = max(max(line) for line in smooth)
    bottom = _TOP + _PLOT_HEIGHT
    shapes = [
        f'<text x="{left}" y="{_TOP - 14}" class="head">{title}</text>',
        f'<line x1="{left}" x2="{left + _PLOT_WIDTH}" y1="{bottom}" y2="{bottom}" class="axis"/>',
        f'<line x1="{left}" x2="{left}" y1="{_TOP}" y2="{bottom}" class="axis"/>',
        f'<text x="{left - 6}" y="{_TOP + 4}" text-anchor="end">{most:,.0f}</text>',
        f'<text x="{left - 6}" y="{bottom + 4}" text-anchor="end">0</text>',
        f'<text x="{left + _PLOT_WIDTH}" y="{bottom + 16}" text-anchor="end">{len(lines[0]):,}</text>',
    ]
    for line, style in zip(smooth, ("kept", "all"), strict=True):
        points = " ".join(
            f"{left + _PLOT_WIDTH * index / (len(line) - 1):.1f},{bottom - _PLOT_HEIGHT * value / most:.1f}"
            for index, value in enumerate(line)
        )
        shapes.append(f'<path class="{style}" d="M{points}"/>')
    return "\n".join(shapes)


def _smooth(line: Sequence[float], points: int = 100) -> list[float]:
    """Return medians of as many stretches."""
    size = max(1, len(line) // points)
    return [statistics.median(line[first : first + size]) for first in range(0, len(line), size)]


if __name__ == "__main__":
    sys.stdout.write(f"{tables(int(sys.argv[1]) if len(sys.argv) > 1 else TURNS)}\n")
