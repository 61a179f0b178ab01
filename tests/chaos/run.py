"""A run of chaos: a faulty provider, a server under attack, writers on several keys; then calm, and the
judge.
"""

import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from tests.chaos.attacks import STOP_SLACK_S, Attacker
from tests.chaos.faults import Faults, FaultyProvider
from tests.chaos.judge import Evidence, Verdict, judge
from tests.chaos.launch import RETRIES
from tests.chaos.server import Server
from tests.chaos.tokens import Token
from tests.chaos.writers import Kind, Writer

MAX_ATTEMPTS = 3
_KINDS: tuple[Kind, ...] = ("keyed", "streaming")
_LAST_WRITER = 99
_POLL_S = 0.1


class Minimum(msgspec.Struct, frozen=True):
    """What must have happened before a run may end: else it would prove little on a slow machine."""

    kills: int = 0
    retries: int = 0
    answers: int = 0


class Scale(msgspec.Struct, frozen=True):
    """How large a run is.

    Times in seconds. A run takes `seconds`, and up to `extension_s` more until `minimum` is reached. On
    `steered` keys all writers join the running turn, on `interrupted` ones the first breaks it off. Beside
    them, as many keys as are `queued` have one writer each that sends no Idempotency-Key.
    """

    seconds: float
    seed: int
    minimum: Minimum = Minimum()
    extension_s: float = 60.0
    queued: int = 4
    steered: int = 1
    interrupted: int = 1
    writers: int = 3
    share_of_faults: float = 0.4
    rest_s: tuple[float, float] = (1.0, 5.0)
    client_timeout_s: float = 3.0
    first_chunk_s: float = 2.5
    idle_s: float = 1.5
    grace_s: float = 1.0
    settle_s: float = 90.0


class Report(msgspec.Struct):
    """What happened and what was wrong;

    `evidence` is the directory that holds the database, the logs and the wishes, where it was kept.
    """

    seed: int
    seconds: float
    attacks: dict[str, int]
    faults: dict[str, int]
    asked: int
    retries: int
    troubles: dict[str, int]
    slowest_start_s: float
    slowest_stop_s: float
    verdict: Verdict
    violations: list[str]
    evidence: Path | None = None

    def __str__(self) -> str:
        attacks, verdict = Counter(self.attacks), self.verdict
        counted = len(verdict.lost) + len(verdict.doubled) + len(verdict.malformed)
        lines = [
            f"seed {self.seed}, {self.seconds:.0f} s",
            f"  kills {attacks['kill'] + attacks['kill while starting']},"
            f" pauses {attacks['pause'] + attacks['long pause']}"
            f" ({attacks['long pause']} longer than the clients wait), stops {attacks['stop']};"
            f" slowest start {self.slowest_start_s:.2f} s, slowest stop {self.slowest_stop_s:.2f} s",
            f"  the model was asked {self.asked} times and broke {sum(self.faults.values())} times:"
            f" {_shown(self.faults)}",
            f"  clients met {sum(self.troubles.values())} troubles: {_shown(self.troubles)}",
            f"  the server saw {self.retries} retries of the SDK",
            f"  turns {verdict.turns} ({_shown(verdict.outcomes)}), messages {verdict.messages},"
            f" runs of recording tools {verdict.tool_runs}"
            f" ({verdict.unknown_outcomes} outcomes told as unknown), calls left open {verdict.mended}",
            f"  tokens {verdict.tokens}: answered {verdict.done},"
            f" failed for good {verdict.tokens - verdict.done}"
            f" ({_shown(verdict.refusals)}; {verdict.withdrawn} of these left no trace)",
            f"  lost {len(verdict.lost)}, doubled {len(verdict.doubled)}, malformed {len(verdict.malformed)},"
            f" other violations {len(self.violations) - counted}",
        ]
        lines += [f"  VIOLATION {violation}" for violation in self.violations[:40]]
        if self.evidence is not None:
            lines.append(f"  evidence: {self.evidence}")
        return "\n".join(lines)


def _shown(counts: dict[str, int]) -> str:
    return (
        ", ".join(f"{name} {number}" for name, number in sorted(counts.items(), key=lambda item: -item[1]))
        or "none"
    )


def run(scale: Scale) -> Report:
    """Return the report of a run. The directory with the evidence is kept only where there is a violation."""
    directory = Path(tempfile.mkdtemp(prefix="nanobot-chaos-"))
    faults = Faults(scale.seed, scale.share_of_faults)
    begun = time.monotonic()
    with FaultyProvider(faults) as provider:
        server = Server(
            directory, _settings(scale, provider.url), model="openai:chaos", module="tests.chaos.launch"
        )
        try:
            server.start()
            server.wait_ready()
            attacker, writers = _storm(scale, server, directory)
            faults.calm = True
            failures = _settle(scale, writers)
            failures += _ask_once_more(scale, server, writers)
            failures += _stop(scale, server)
        finally:
            server.kill()
    wishes = [wish for writer in writers for wish in writer.wishes]
    (directory / "wishes.json").write_bytes(msgspec.json.encode(wishes))
    verdict = judge(Evidence(server.data, directory), wishes, MAX_ATTEMPTS)
    violations = [
        *verdict.violations,
        *attacker.failures,
        *failures,
        *faults.complaints,
        *_read_log(server.log),
    ]
    report = Report(
        seed=scale.seed,
        seconds=time.monotonic() - begun,
        attacks=dict(attacker.counts),
        faults=dict(faults.broken),
        asked=faults.asked,
        retries=_lines(directory / RETRIES),
        troubles=dict(sum((writer.troubles for writer in writers), Counter())),
        slowest_start_s=attacker.slowest_start_s,
        slowest_stop_s=attacker.slowest_stop_s,
        verdict=verdict,
        violations=violations,
        evidence=directory if violations else None,
    )
    if not violations:
        shutil.rmtree(directory)
    return report


def _settings(scale: Scale, provider_url: str) -> dict[str, str]:
    return {
        "OPENAI_BASE_URL": provider_url,
        "OPENAI_API_KEY": "none",
        "NANOBOT_MODEL_FIRST_BYTE_TIMEOUT_S": str(scale.first_chunk_s),
        "NANOBOT_MODEL_IDLE_TIMEOUT_S": str(scale.idle_s),
        "NANOBOT_AGENT_WINDOW_TOKENS": "4096",
        "NANOBOT_SERVER_SHUTDOWN_GRACE_S": str(scale.grace_s),
        "NANOBOT_ENGINE_MAX_ATTEMPTS": str(MAX_ATTEMPTS),
    }


def _storm(scale: Scale, server: Server, directory: Path) -> tuple[Attacker, list[Writer]]:
    """Let the writers write while the server is attacked, for as long as the run is to take; the server runs
    when this returns.
    """
    enough = threading.Event()
    writers = list(_writers(scale, server, enough))
    attacker = Attacker(
        server,
        seed=scale.seed,
        rest_s=scale.rest_s,
        client_timeout_s=scale.client_timeout_s,
        grace_s=scale.grace_s,
        enough=enough,
    )
    for thread in (*writers, attacker):
        thread.start()
    begun = time.monotonic()
    time.sleep(scale.seconds)
    while not _is_reached(scale.minimum, attacker, writers, directory):
        if time.monotonic() - begun > scale.seconds + scale.extension_s:
            break
        time.sleep(_POLL_S)
    enough.set()
    attacker.join()
    return attacker, writers


def _is_reached(minimum: Minimum, attacker: Attacker, writers: list[Writer], directory: Path) -> bool:
    answers = sum(1 for writer in writers for wish in list(writer.wishes) if wish.told == "done")
    return (
        attacker.counts["kill"] >= minimum.kills
        and answers >= minimum.answers
        and _lines(directory / RETRIES) >= minimum.retries
    )


def _writers(scale: Scale, server: Server, enough: threading.Event) -> list[Writer]:
    policies = ["queue"] * scale.queued + ["steer"] * scale.steered + ["interrupt"] * scale.interrupted
    who: list[tuple[int, int, str, Kind]] = []
    for key, policy in enumerate(policies, 1):
        for number in range(1, scale.writers + 1):
            own = "queue" if policy == "interrupt" and number > 1 else policy
            who.append(
                (key, number, own, _KINDS[(key + number) % len(_KINDS)] if own == "queue" else "keyed")
            )
    # A resend without a key of its own joins the newest turn alone: such a writer has its session to itself.
    who += [(len(policies) + number, 1, "queue", "plain") for number in range(1, scale.queued + 1)]
    return [
        Writer(
            _namer(scale.seed, key, number),
            kind,
            policy,
            url=server.url,
            timeout_s=scale.client_timeout_s,
            seed=f"{scale.seed}:{key}:{number}",
            enough=enough,
        )
        for key, number, policy, kind in who
    ]


def _namer(seed: int, key: int, writer: int) -> Callable[[int], Token]:
    return partial(_token, seed, key, writer)


def _token(seed: int, key: int, writer: int, number: int) -> Token:
    mark = "ppptorpo"[hash((seed, key, writer, number)) % 8]
    return Token(key, writer, number, mark)


def _settle(scale: Scale, writers: list[Writer]) -> list[str]:
    """Wait until every writer has been told of its last token."""
    deadline = time.monotonic() + scale.settle_s
    for writer in writers:
        writer.deadline = deadline
    for writer in writers:
        writer.join(max(0.0, deadline + 5 - time.monotonic()))
    return [
        f"{writer.name} still waits after {scale.settle_s:g} s of calm"
        for writer in writers
        if writer.is_alive()
    ]


def _ask_once_more(scale: Scale, server: Server, writers: list[Writer]) -> list[str]:
    """The next request on each key must succeed, whatever happened on it, at the first try."""
    failures: list[str] = []
    enough = threading.Event()
    for key in range(1, 2 * scale.queued + scale.steered + scale.interrupted + 1):
        enough.clear()
        last = Writer(
            partial(_token, 0, key, _LAST_WRITER),
            "keyed",
            "queue",
            url=server.url,
            timeout_s=30.0,
            seed="last",
            enough=enough,
        )
        last.start()
        enough.set()
        last.join(60)
        writers.append(last)
        if not last.wishes or last.wishes[-1].told != "done" or last.wishes[-1].tries != 1:
            failures.append(f"the next request on key {key} did not succeed: {last.wishes}")
    return failures


def _stop(scale: Scale, server: Server) -> list[str]:
    try:
        server.stop(scale.grace_s + STOP_SLACK_S)
    except RuntimeError as error:
        return [str(error)]
    return []


def _read_log(log: Path) -> list[str]:
    """Return each kind of traceback that the server logged: a bug, whatever became of it."""
    lines = log.read_text(errors="replace").splitlines()
    found: Counter[str] = Counter()
    for position, line in enumerate(lines):
        if line.startswith("Traceback"):
            end = next(
                (other for other in lines[position + 1 :] if other and not other.startswith((" ", "\t"))), ""
            )
            found[end[:200]] += 1
    return [f"the server logged a traceback {number} times: {end}" for end, number in found.items()]


def _lines(file: Path) -> int:
    return len(file.read_bytes().splitlines()) if file.exists() else 0
