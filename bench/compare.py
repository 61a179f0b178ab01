"""`python -m bench.compare CHECKOUT`: this checkout beside another one of nanobot, by turns in one run, so
that a change is told from the machine's mood.

Both are started with this one's Python and packages; the other checkout stands where the floor usually does.
"""

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Final

import msgspec

from bench.figures import Figures, Row, percentile
from bench.lab import SYSTEMS, Lab, WrongAnswer
from bench.load import LoadFailed, Plan, Sample, Target, send
from bench.machine import ROOT, ProcessFailed, stop_on_signals

_CLIENTS: Final = (1, 16, 64, 256)
_SECONDS: Final = 1.5
_PACE_US: Final = 20_000


def _each(targets: tuple[Target, Target], number: int, plan: Plan) -> Iterator[Sample]:
    """Yield what `plan` brings at the one and at the other: one client asks both in turn, many ask one after
    the other.

    Which of them is asked first changes from round to round.
    """
    order = targets if number % 2 else targets[::-1]
    found: dict[str, Sample] = {}
    for asked in (order,) if plan.clients == 1 else ((target,) for target in order):
        found |= send(msgspec.structs.replace(plan, targets=asked))
    yield from (found[target.name] for target in targets)


def _cpu(targets: tuple[Target, Target], rounds: int) -> Iterator[Row]:
    for clients in _CLIENTS:
        cpu = Figures()
        for number in range(rounds):
            plan = Plan(
                targets=(),
                session=f"cpu{clients}:{number}",
                clients=clients,
                seconds=_SECONDS,
                warm_up_turns=max(2, 200 // clients),
            )
            _add(cpu, [sample.cpu_us_per_turn for sample in _each(targets, number, plan)])
        yield cpu.row(
            f"cpu@{clients}", f"CPU a turn, {clients} {'client' if clients == 1 else 'clients'}", "µs"
        )


def _add(figures: Figures, values: Sequence[float]) -> None:
    for system, value in zip(SYSTEMS, values, strict=True):
        figures.add(system, value)


def _waits(lab: Lab, targets: tuple[Target, Target], rounds: int) -> Iterator[Row]:
    one = Plan(targets=targets, session="latency", turns=300, warm_up_turns=30)
    many = Plan(
        targets=targets,
        session="streams",
        clients=64,
        turns=4,
        warm_up_turns=1,
        stream=True,
        spread_s=20 * _PACE_US / 1e6,
    )
    yield from _percentiles("latency, 1 client", targets, rounds, one)
    with lab.answers(3, 1_000):
        yield from _percentiles(
            "time to first token, 1 stream",
            targets,
            rounds,
            msgspec.structs.replace(one, session="stream", stream=True),
        )
    with lab.answers(20, _PACE_US):
        yield from _percentiles("time to first token, 64 streams", targets, 2 * rounds, many)


def _percentiles(label: str, targets: tuple[Target, Target], rounds: int, plan: Plan) -> list[Row]:
    found = {percent: Figures() for percent in (50, 99)}
    for number in range(rounds):
        samples = _each(targets, number, msgspec.structs.replace(plan, session=f"{plan.session}:{number}"))
        waits = [sample.first_token_ms if plan.stream else sample.latency_ms for sample in samples]
        for percent, figures in found.items():
            _add(figures, [percentile(each, percent) for each in waits])
    return [
        figures.row(f"{plan.session}.p{percent}", f"{label}, p{percent}", "ms")
        for percent, figures in found.items()
    ]


def main() -> int:
    """Compare, and print a row as it is known; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.compare", description="Measure this checkout beside another one."
    )
    parser.add_argument(
        "checkout", type=Path, help="the other one, for example of `git worktree add ../old v0.1`"
    )
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--nice", type=int, default=0, help="as for `python -m bench`")
    arguments = parser.parse_args()
    os.nice(arguments.nice)
    try:
        with stop_on_signals(), Lab() as lab, contextlib.ExitStack() as stack:
            old = stack.enter_context(lab.running("nanobot", root=arguments.checkout.resolve()))
            new = stack.enter_context(lab.running("nanobot", root=ROOT))
            targets = Target("old", old.port, old.pid), Target("new", new.port, new.pid)
            print(f"{'':44}{'':>4}{'other':>12}{'this':>12}{'ratio':>9}")
            for row in chain(_cpu(targets, arguments.rounds), _waits(lab, targets, arguments.rounds)):
                print(
                    f"{row.label:44}{row.unit:>4}{row.floor_full:>12,.2f}{row.nanobot:>12,.2f}{row.ratio_full:>9.3f}",
                    flush=True,
                )
    except (ProcessFailed, LoadFailed, WrongAnswer) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
