"""The results of the attacks as text, and as the table of `docs/limits.md`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from bench.machine import ROOT

PAGE: Final = ROOT / "docs" / "limits.md"
_BEGIN: Final = "<!-- hostile: what `make hostile ARGS=--write` puts here -->\n"
_END: Final = "<!-- hostile: end -->\n"
_STALL_MS: Final = 250.0
_SLOWER: Final = 3.0
_MEMORY_MB: Final = 200.0
GOALS: Final = (
    f"goals: no stall over {_STALL_MS:.0f} ms, p99 within {_SLOWER:g} times the quiet one, memory within "
    f"{_MEMORY_MB:.0f} MB"
)
HEAD: Final = (
    f"{'attack':24}{'stall ms':>10}{'p99 ms':>9}{'quiet':>8}{'turns':>8}{'MB':>8}{'after':>8}"
    f"{'CPU':>6}{'theirs':>8}"
)


class Row(msgspec.Struct):
    """What one attack did. Memory in MB above that of the quiet server: at most, and some seconds after."""

    attack: str
    stall_ms: float
    p99_ms: float
    quiet_p99_ms: float
    turns: float
    """How many turns the innocent got a second, as a share of those without the attack."""
    memory_mb: float
    after_mb: float
    cpu: float
    """How many processors the server and its workers used."""
    attack_cpu: float
    """How many those who attacked used: little where something else keeps the machine busy."""
    errors: list[str]

    @property
    def is_within_goals(self) -> bool:
        return (
            self.stall_ms <= _STALL_MS
            and self.p99_ms <= _SLOWER * self.quiet_p99_ms
            and self.memory_mb <= _MEMORY_MB
            and not self.errors
        )


def text_lines(row: Row) -> Iterator[str]:
    """Yield the row as text, in the columns of `HEAD`."""
    yield (
        f"{row.attack:24}{row.stall_ms:>10.0f}{row.p99_ms:>9.1f}{row.quiet_p99_ms:>8.1f}"
        f"{row.turns:>8.2f}{row.memory_mb:>8.0f}{row.after_mb:>8.0f}{row.cpu:>6.2f}{row.attack_cpu:>8.2f}"
        f"{'' if row.is_within_goals else '  over the goal'}"
    )
    yield from (f"    {line}" for line in row.errors)


def table(rows: Sequence[Row], seconds: float, machine: Mapping[str, str]) -> str:
    """Return the table as Markdown."""
    lines = [
        f"Measured in one run, {seconds:g} s an attack, on {machine['processor']}, {machine['system']}, "
        f"Python {machine['python']}:",
        "",
        "| attack | longest stall, ms | turn of others, p99, ms: quiet | during | turns of others, share of "
        "the quiet | memory during, MB | 5 s after | processors: the server's | the attackers' |",
        "|---|---|---|---|---|---|---|---|---|",
        *(
            f"| {row.attack} | {row.stall_ms:.0f} | {row.quiet_p99_ms:.1f} | {row.p99_ms:.1f} "
            f"| {row.turns:.2f} | {row.memory_mb:+.0f} | {row.after_mb:+.0f} "
            f"| {row.cpu:.2f} | {row.attack_cpu:.2f} |"
            for row in rows
        ),
    ]
    over = [row.attack for row in rows if not row.is_within_goals]
    goals = (
        f"Goals: no stall over {_STALL_MS:.0f} ms, no turn of others over {_SLOWER:g} × its quiet p99, "
        f"memory within {_MEMORY_MB:.0f} MB of quiet. "
    )
    lines += ["", goals + (f"Missed by: {', '.join(over)}." if over else "All are met.")]
    return "\n".join(lines) + "\n"


def write_table(rows: Sequence[Row], seconds: float, machine: Mapping[str, str]) -> None:
    """Put the table of a run between the marks of the page."""
    text = PAGE.read_text(encoding="utf-8")
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{PAGE} has no marks for the table: {_BEGIN.strip()} … {_END.strip()}")
    PAGE.write_text(before + begin + table(rows, seconds, machine) + end + after, encoding="utf-8")
