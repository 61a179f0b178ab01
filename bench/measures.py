"""What is measured. Each measure runs the floor and nanobot by turns, several rounds of it, and returns rows.

A row's figures are medians over the rounds, its ratio the median of the rounds' ratios: what disturbs the
machine for a while disturbs both, and one bad round moves nothing.
"""

import http.client
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from bench.figures import Figures, Row, Waits
from bench.lab import ALL_SYSTEMS, SMALL_WINDOW, SYSTEMS, Lab, System, first_answer
from bench.load import LoadFailed, Plan, Sample, Target, send
from bench.machine import ProcessFailed, counting_calls, cpu_ns, rss_bytes

FEW, MANY = 20, 120
"""Chunks of a short and of a long answer: the price of one chunk is the slope between them."""
_PACES_US: Final = {1: 2_000, 64: 20_000}
PACED_CHUNKS: Final = 200
_PACED_US: Final = 10_000
_SLOW_MODEL_US: Final = 200_000
_ENDLESS: Final = 1_000_000_000
_TURNS_A_PLAN: Final = 500


class Scale(msgspec.Struct, frozen=True):
    """How much of everything. `depths` are turns of one session, `sessions` numbers of sessions."""

    rounds: int = 5
    starts: int = 7
    seconds: float = 1.5
    turns: int = 300
    clients: tuple[int, ...] = (1, 16, 64, 256)
    streams: tuple[int, ...] = (1, 64)
    depths: tuple[int, int, int] = (10, 1_000, 10_000)
    sessions: tuple[int, ...] = (1_000, 10_000)


FULL: Final = Scale()
QUICK: Final = Scale(
    rounds=1, starts=1, seconds=0.7, turns=100, clients=(1, 64), depths=(10, 100, 500), sessions=(100, 500)
)


def _order(number: int, systems: tuple[System, ...] = SYSTEMS) -> tuple[System, ...]:
    """Return the systems in the order of round `number`: the last one first in each next round."""
    return systems if number % 2 == 0 else systems[::-1]


def _by_turns(rounds: int, systems: tuple[System, ...] = SYSTEMS) -> Iterator[tuple[int, System]]:
    return ((number, system) for number in range(rounds) for system in _order(number, systems))


def plain(lab: Lab, scale: Scale) -> list[Row]:
    """A request that does next to nothing, `GET /health`: that of the floor is Starlette's "hello world"."""
    cpu = Figures()
    requests = 5 * scale.turns
    with lab.all_of() as pair:
        for _, system in _by_turns(scale.rounds):
            connection = http.client.HTTPConnection("127.0.0.1", pair[system].port, timeout=20)
            before = cpu_ns(pair[system].pid)
            for _ in range(requests):
                connection.request("GET", "/health")
                connection.getresponse().read()
            cpu.add(system, (cpu_ns(pair[system].pid) - before) / 1e3 / requests)
            connection.close()
    return [cpu.row("plain@1", "CPU of GET /health, 1 client", "µs")]


def start(lab: Lab, scale: Scale) -> list[Row]:
    """From the start of the process, in a fresh directory, to `/health` and to the first answer."""
    health, answer = Figures(), Figures()
    for _, system in _by_turns(scale.starts):
        server = lab.launch(system)
        try:
            health.add(system, server.wait_ready("/health") * 1e3)
            first_answer(Target(system, server.port, server.pid))
            answer.add(system, (time.perf_counter() - server.started_at) * 1e3)
        finally:
            server.stop()
    return [
        health.row("start.health", "start to /health 200", "ms"),
        answer.row("start.answer", "start to first answer", "ms"),
    ]


def latency(lab: Lab, scale: Scale) -> list[Row]:
    """One client that asks the upstream, the floor and nanobot in turn: what each adds to the direct call
    (whose median is taken off).
    """
    with lab.all_of() as pair:
        return _added(lab, scale, pair, stream=False, key="latency", label="latency", session="latency")


def _added(
    lab: Lab, scale: Scale, pair: dict[System, Target], *, stream: bool, key: str, label: str, session: str
) -> list[Row]:
    figures = Waits()
    for number in range(2 * scale.rounds):
        targets = (lab.direct, *pair.values())
        samples = send(
            Plan(
                targets=targets,
                session=f"{session}{number}",
                stream=stream,
                turns=scale.turns,
                warm_up_turns=30,
            )
        )
        figures.add_round(samples, stream=stream)
    return figures.rows(key, label, "1 stream" if stream else "1 client", 1)


def throughput(lab: Lab, scale: Scale) -> list[Row]:
    """Clients that ask without a pause, new sessions every 20 turns: turns a second, and CPU a turn."""
    rows = []
    with lab.all_of(ALL_SYSTEMS) as pair:
        for clients in scale.clients:
            cpu, rate = Figures(), Figures()
            for number, system in _by_turns(scale.rounds, ALL_SYSTEMS):
                warm_up = max(2, 200 // clients)
                session = f"load{clients}:{number}"
                plan = Plan(
                    targets=(pair[system],),
                    session=session,
                    clients=clients,
                    seconds=scale.seconds,
                    warm_up_turns=warm_up,
                )
                sample = send(plan)[system]
                cpu.add(system, sample.cpu_us_per_turn)
                rate.add(system, sample.turns / sample.seconds)
            noun = "client" if clients == 1 else "clients"
            rows.append(cpu.row(f"cpu@{clients}", f"CPU a turn, {clients} {noun}", "µs"))
            rows.append(rate.row(f"rate@{clients}", f"turns a second, {clients} {noun}", "/s"))
    return rows


def waiting(lab: Lab, scale: Scale) -> list[Row]:
    """Models that take their time, and clients that do not stream: CPU of a turn whose answer comes word by
    word, and the turns a second of many clients.
    """
    rows = []
    with lab.all_of(ALL_SYSTEMS) as pair:
        paced, rate = Figures(), Figures()
        with lab.answers(PACED_CHUNKS, _PACED_US):
            for number, system in _by_turns(min(scale.rounds, 3), ALL_SYSTEMS):
                plan = Plan(
                    targets=(pair[system],),
                    session=f"paced{number}",
                    clients=64,
                    turns=2,
                    warm_up_turns=1,
                    spread_s=PACED_CHUNKS * _PACED_US / 1e6,
                )
                paced.add(system, send(plan)[system].cpu_us_per_turn)
        with lab.answers(2, _SLOW_MODEL_US // 2):
            for number, system in _by_turns(scale.rounds, ALL_SYSTEMS):
                plan = Plan(
                    targets=(pair[system],),
                    session=f"slow{number}",
                    clients=256,
                    seconds=2 * scale.seconds,
                    warm_up_turns=2,
                )
                sample = send(plan)[system]
                rate.add(system, sample.turns / sample.seconds)
    label = f"CPU a turn, 64 clients, {PACED_CHUNKS} tokens {_PACED_US // 1000} ms apart, not streamed"
    rows.append(paced.row("paced@64", label, "µs"))
    rows.append(rate.row("slow_rate@256", "turns a second, 256 clients, a model of 200 ms", "/s"))
    return rows


def writes(lab: Lab, scale: Scale) -> list[Row]:
    """How often a turn writes to the database and its log, with one client: counted, not timed."""
    count = Figures()
    try:
        with lab.all_of() as pair:
            for number, system in _by_turns(2):
                plan = Plan(targets=(pair[system],), session=f"writes{number}", turns=scale.turns)
                send(msgspec.structs.replace(plan, session=f"warm{number}", turns=20))
                with counting_calls(pair[system].pid, "pwrite64") as calls:
                    send(plan)
                count.add(system, calls[0] / scale.turns)
    except ProcessFailed as error:
        if "strace" not in str(error):
            raise
        print(f"writes are not counted: {error}", file=sys.stderr)
        return []
    return [count.row("writes@1", "pwrite64 a turn, 1 client", "")]


def streams(lab: Lab, scale: Scale) -> list[Row]:
    """Streams whose chunks come one by one, as a model's do: time to the first text, and the CPU that one
    more chunk costs.
    """
    rows = []
    with lab.all_of() as pair:
        with lab.answers(3, 1_000):
            rows += _added(
                lab, scale, pair, stream=True, key="first_token", label="time to first token", session="first"
            )
        for count in scale.streams:
            rows += _chunk_rows(lab, scale, pair, count)
        rows += _burst_rows(lab, scale, pair, max(scale.streams))
    return rows


def _chunk_rows(lab: Lab, scale: Scale, pair: dict[System, Target], count: int) -> list[Row]:
    """The price of a chunk at `count` streams; where they are many, the time to first token of the short
    answers too.
    """
    pace_us, turns = _PACES_US[count], 30 if count == 1 else 4
    chunk, turn, waits = Figures(), Figures(), Waits()
    for number in range(scale.rounds):
        samples: dict[str, Sample] = {}
        short = Plan(
            targets=(lab.direct,),
            session=f"chunks{count}:{number}",
            clients=count,
            stream=True,
            turns=turns,
            warm_up_turns=1,
            spread_s=FEW * pace_us / 1e6,
        )
        long = msgspec.structs.replace(
            short, session=short.session + "long", turns=max(1, turns // 4), warm_up_turns=0
        )
        with lab.answers(FEW, pace_us):
            for target in (lab.direct, *(pair[system] for system in _order(number))):
                samples |= send(msgspec.structs.replace(short, targets=(target,)))
        with lab.answers(MANY, pace_us):
            for system in _order(number):
                cost = send(msgspec.structs.replace(long, targets=(pair[system],)))[system].cpu_us_per_turn
                chunk.add(system, (cost - samples[system].cpu_us_per_turn) / (MANY - FEW))
                turn.add(system, samples[system].cpu_us_per_turn)
        waits.add_round(samples, stream=True)
    streams = "1 stream" if count == 1 else f"{count} streams"
    rows = [chunk.row(f"chunk@{count}", f"CPU a chunk, {streams}, {pace_us // 1000} ms apart", "µs")]
    rows.append(turn.row(f"stream_cpu@{count}", f"CPU a streamed turn of {FEW} chunks, {streams}", "µs"))
    return rows + (waits.rows("first_token", "time to first token", streams, count) if count > 1 else [])


def _burst_rows(lab: Lab, scale: Scale, pair: dict[System, Target], count: int) -> list[Row]:
    """Streams without a pause between chunks: what is left of the price when many chunks come in one read."""
    turn, chunk = Figures(), Figures()
    for number, system in _by_turns(min(scale.rounds, 3)):
        cost = {}
        for chunks in (FEW, MANY):
            with lab.answers(chunks):
                session = f"burst{chunks}:{number}"
                plan = Plan(
                    targets=(pair[system],),
                    session=session,
                    clients=count,
                    stream=True,
                    seconds=scale.seconds / 2,
                    warm_up_turns=1,
                )
                cost[chunks] = send(plan)[system].cpu_us_per_turn
        turn.add(system, cost[FEW])
        chunk.add(system, (cost[MANY] - cost[FEW]) / (MANY - FEW))
    return [
        turn.row(
            f"stream_burst_cpu@{count}", f"CPU a streamed turn, {count} streams, a whole answer at once", "µs"
        ),
        chunk.row(f"chunk_burst@{count}", f"CPU a chunk, {count} streams, a whole answer at once", "µs"),
    ]


def history(lab: Lab, scale: Scale) -> list[Row]:
    """A client that sends its whole history and its own tools with each request, as stock front ends and
    agents do: CPU a turn.
    """
    rows = []
    with lab.all_of(environment=SMALL_WINDOW) as pair:
        for messages, tools in ((200, 0), (200, 20)):
            cpu = Figures()
            for number, system in _by_turns(scale.rounds):
                plan = Plan(
                    targets=(pair[system],),
                    session=f"history{tools}:{number}",
                    session_turns=_ENDLESS,
                    seconds=scale.seconds,
                    warm_up_turns=20,
                    history=messages,
                    tools=tools,
                )
                cpu.add(system, send(plan)[system].cpu_us_per_turn)
            offered = f", {tools} tools of the client" if tools else ""
            rows.append(
                cpu.row(
                    f"history@{messages},{tools}",
                    f"CPU a turn, {messages} messages sent along{offered}",
                    "µs",
                )
            )
    return rows


def depth(lab: Lab, scale: Scale) -> list[Row]:
    """One session, early, with its window just full, and ten times as long: CPU a turn, measured by turns."""
    early, full, long = scale.depths
    block, rounds = 80, max(2, 2 * scale.rounds - 2)
    with lab.all_of(environment=SMALL_WINDOW) as pair:
        for deep in (full, long):
            _lengthen(tuple(pair.values()), f"depth{deep}", deep)
        cost = {deep: Figures() for deep in scale.depths}
        longer = Figures()
        for number, system in _by_turns(rounds):
            spent = {}
            for deep in scale.depths:
                session, session_turns = (
                    (f"early{number}", 2 * early - 1) if deep == early else (f"depth{deep}", _ENDLESS)
                )
                plan = Plan(
                    targets=(pair[system],),
                    session=session,
                    session_turns=session_turns,
                    turns=block,
                    warm_up_turns=5,
                )
                spent[deep] = send(plan)[system].cpu_us_per_turn
                cost[deep].add(system, spent[deep])
            longer.add(system, spent[long] / spent[full])
    rows = [
        figures.row(f"depth@{deep}", f"CPU a turn, at turn {deep:,} of a session", "µs")
        for deep, figures in cost.items()
    ]
    return [*rows, longer.row(f"depth.ratio@{long}", f"CPU at turn {long:,} over turn {full:,}", "×")]


def _lengthen(targets: tuple[Target, ...], session: str, turns: int) -> None:
    """Make the session so many turns long, in plans that end before a plan's time does.

    Raises:
        LoadFailed: it has fewer turns.
    """
    done = 0
    while done < turns:
        plan = Plan(
            targets=targets,
            session=session,
            session_turns=_ENDLESS,
            turns=min(turns - done, _TURNS_A_PLAN),
        )
        asked = min(sample.turns for sample in send(plan).values())
        if asked < plan.turns:
            raise LoadFailed(f"{asked} turns in {plan.seconds:g} s, where {plan.turns} were to be made")
        done += asked


def memory(lab: Lab, scale: Scale) -> list[Row]:
    """Resident memory of a server that nobody has asked, and after so many sessions of one turn each, 16
    clients at a time.
    """
    counts = (0, *scale.sessions)
    held = {count: Figures() for count in counts}
    growth = Figures()
    for system in SYSTEMS:
        server = lab.launch(system)
        try:
            server.wait_ready("/health")
            target = Target(system, server.port, server.pid)
            sizes = list(_sizes(target, counts))
        finally:
            server.stop()
        for count, size in zip(counts, sizes, strict=True):
            held[count].add(system, size / 1e6)
        growth.add(system, (sizes[-1] - sizes[0]) / 1e6)
    rows = [
        figures.row(f"memory@{count}", f"resident memory after {count:,} sessions", "MB")
        for count, figures in held.items()
    ]
    return [
        *rows,
        growth.row(f"memory.growth@{counts[-1]}", f"more memory after {counts[-1]:,} sessions", "MB"),
    ]


def _sizes(target: Target, counts: tuple[int, ...]) -> Iterator[int]:
    done = 0
    for count in counts:
        if count:
            send(
                Plan(
                    targets=(target,),
                    session=f"memory{count}",
                    session_turns=1,
                    clients=16,
                    turns=-(-(count - done) // 16),
                )
            )
        done = count
        time.sleep(1.0)
        yield rss_bytes(target.pid)


def store(lab: Lab, scale: Scale) -> list[Row]:
    """What a sync at each commit costs: nanobot at 64 clients with `store.synchronous` as it is (full) and
    set to normal.
    """
    rates: dict[str, list[float]] = {"full": [], "normal": []}
    with (
        lab.running("nanobot", {"NANOBOT_STORE_SYNCHRONOUS": "full"}) as full,
        lab.running("nanobot", {"NANOBOT_STORE_SYNCHRONOUS": "normal"}) as normal,
    ):
        for number in range(scale.rounds):
            for name, target in (("full", full), ("normal", normal)):
                plan = Plan(
                    targets=(target,),
                    session=f"store{number}",
                    clients=64,
                    seconds=scale.seconds,
                    warm_up_turns=3,
                )
                sample = send(plan)["nanobot"]
                rates[name].append(sample.turns / sample.seconds)
    rows = [
        Row(
            f"store.{name}",
            f"turns a second, 64 clients, synchronous={name}",
            "/s",
            None,
            statistics.median(values),
            None,
        )
        for name, values in rates.items()
    ]
    gain = statistics.median(fast / safe for fast, safe in zip(rates["normal"], rates["full"], strict=True))
    return [*rows, Row("store.gain", "synchronous=normal over full", "×", None, gain, None)]


MEASURES: Final[dict[str, Callable[[Lab, Scale], list[Row]]]] = {
    measure.__name__: measure
    for measure in (
        plain,
        start,
        latency,
        throughput,
        waiting,
        writes,
        streams,
        history,
        depth,
        memory,
        store,
    )
}
