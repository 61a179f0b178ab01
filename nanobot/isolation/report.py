"""The report of an isolation audit, for people and for programs."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from nanobot.isolation.client import Leak

_MAX_LEAKS_SHOWN = 50


class ChannelCoverage(msgspec.Struct, frozen=True):
    """How many secrets came in by a channel, and how many of them their owners were shown again (`seen`)."""

    channel: str
    secrets: int
    seen: int


class RouteCoverage(msgspec.Struct, frozen=True):
    """How many requests a route got. `compared`: how many of them were repeated with fictitious names."""

    route: str
    requests: int
    compared: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a run.

    `cached_prompts`: how many prompts were sent to providers with a prefix cache. `statuses`: how many
    answers had each HTTP status. `uncovered`: routes for which the audit has no attempts. `unanswered`:
    requests whose connection broke.
    """

    sessions: int
    parallel: int
    seed: int
    seconds: float
    channels: Sequence[ChannelCoverage]
    routes: Sequence[RouteCoverage]
    statuses: Mapping[str, int]
    prompts: int
    cached_prompts: int
    log_lines: int
    audit_log_lines: int
    uncovered: Sequence[str]
    unanswered: int
    leaks: Sequence[Leak]

    @property
    def is_clean(self) -> bool:
        return not (self.leaks or self.uncovered or self.untried or self.unanswered)

    @property
    def untried(self) -> tuple[str, ...]:
        """Routes that got no request: the victims had nothing there."""
        return tuple(coverage.route for coverage in self.routes if not coverage.requests)

    @property
    def unseen(self) -> tuple[str, ...]:
        """Channels whose secrets not even their owners were shown: their absence elsewhere proves little."""
        return tuple(coverage.channel for coverage in self.channels if not coverage.seen)


def lines(report: Report) -> Iterator[str]:
    """Yield the report as lines of text."""
    yield f"{'seeded by':<24}{'secrets':>10}{'seen by their owners':>24}"
    for channel in report.channels:
        yield f"  {channel.channel:<22}{channel.secrets:>10}{channel.seen:>24}"
    yield f"{'route':<48}{'requests':>10}{'compared':>12}"
    for route in report.routes:
        yield f"  {route.route:<46}{route.requests:>10}{route.compared:>12}"
    total = sum(route.requests for route in report.routes)
    statuses = ", ".join(f"{count} × {status}" for status, count in report.statuses.items())
    yield f"{total} requests in {report.seconds:.0f} s ({statuses})"
    yield (
        f"searched {report.prompts} prompts, {report.log_lines} lines of the log "
        f"and {report.audit_log_lines} of the audit log"
    )
    yield f"guessed at beginnings with {report.cached_prompts} prompts to models with a prefix cache"
    for uncovered in report.uncovered:
        yield f"NOT COVERED: {uncovered}: the audit has no attempts for this route"
    for untried in report.untried:
        yield f"NOT TRIED: {untried}: no session had anything to ask for there"
    if report.unanswered:
        yield f"{report.unanswered} requests were not answered: the connection broke"
    for leak in report.leaks[:_MAX_LEAKS_SHOWN]:
        secret = f" a secret of session {leak.owner} ({leak.channel})" if leak.owner >= 0 else ""
        yield f"LEAK ({leak.kind}): {leak.where}: {leak.requester}{secret} {leak.detail}".rstrip()
    if len(report.leaks) > _MAX_LEAKS_SHOWN:
        yield f"… and {len(report.leaks) - _MAX_LEAKS_SHOWN} more"
    yield (
        f"{len(report.leaks)} leaks in {report.sessions} sessions, {report.parallel} in parallel, "
        f"seed {report.seed}"
    )
