"""What an audit found, for people and for programs."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from nanobot.isolation.client import Leak

_MOST_SHOWN = 50


class Planted(msgspec.Struct, frozen=True):
    """What came in by a channel. `seen`: how many of the secrets their owners were shown again."""

    channel: str
    secrets: int
    seen: int


class Asked(msgspec.Struct, frozen=True):
    """What was asked of a route. `compared`: how often with something that never was."""

    route: str
    requests: int
    compared: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The whole audit. `unknown`: routes of which nothing was asked, as the audit does not know how."""

    sessions: int
    parallel: int
    seed: int
    seconds: float
    planted: Sequence[Planted]
    asked: Sequence[Asked]
    answers: Mapping[str, int]
    prompts: int
    log_lines: int
    audit_log_lines: int
    unknown: Sequence[str]
    broken: int
    leaks: Sequence[Leak]

    @property
    def is_clean(self) -> bool:
        return not self.leaks and not self.unknown and not self.broken

    @property
    def unseen(self) -> tuple[str, ...]:
        """Channels whose secrets nobody was ever shown: of these it says little that no one else was either."""
        return tuple(planted.channel for planted in self.planted if not planted.seen)


def lines(report: Report) -> Iterator[str]:
    """Yield the report, to be read."""
    yield f"{'planted':<24}{'secrets':>10}{'seen by their owners':>24}"
    for planted in report.planted:
        yield f"  {planted.channel:<22}{planted.secrets:>10}{planted.seen:>24}"
    yield f"{'asked':<48}{'requests':>10}{'compared':>12}"
    for asked in report.asked:
        yield f"  {asked.route:<46}{asked.requests:>10}{asked.compared:>12}"
    total = sum(asked.requests for asked in report.asked)
    answers = ", ".join(f"{count} × {status}" for status, count in report.answers.items())
    yield f"{total} requests in {report.seconds:.0f} s ({answers})"
    yield f"{report.prompts} prompts, {report.log_lines} lines of the log and {report.audit_log_lines} of the audit log were looked at"
    for route in report.unknown:
        yield f"NOT ASKED: {route}: this audit does not know how"
    if report.broken:
        yield f"{report.broken} requests were not answered: the connection broke off"
    for leak in report.leaks[:_MOST_SHOWN]:
        whose = f" what is of session {leak.owner} ({leak.channel})" if leak.owner >= 0 else ""
        yield f"LEAK ({leak.kind}): {leak.where}: {leak.asker}{whose} {leak.detail}".rstrip()
    if len(report.leaks) > _MOST_SHOWN:
        yield f"… and {len(report.leaks) - _MOST_SHOWN} more"
    yield f"{len(report.leaks)} leaks in {report.sessions} sessions, {report.parallel} in parallel, seed {report.seed}"
