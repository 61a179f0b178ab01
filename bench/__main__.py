"""`python -m bench`: run the measures, print the table, write `results.json`, `report.svg` and the figures of
`docs/benchmark.md`.
"""

import argparse
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bench.figures import Row
from bench.goals import judge
from bench.lab import Lab, WrongAnswer
from bench.load import LoadFailed
from bench.machine import ROOT, ProcessFailed, describe, stop_on_signals
from bench.measures import FULL, MEASURES, QUICK
from bench.report import Results, page, picture, table

_PAGE = ROOT / "docs" / "benchmark.md"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measure nanobot beside a floor, on this machine."
    )
    parser.add_argument("--quick", action="store_true", help="a smoke run of a minute; its figures are rough")
    parser.add_argument(
        "--only",
        action="append",
        choices=MEASURES,
        metavar="NAME",
        help=f"one of {', '.join(MEASURES)}; may be repeated",
    )
    parser.add_argument(
        "--out",
        type=Path,
        help=(
            "where to write results.json and report.svg (otherwise a whole run writes them here, and its"
            " figures to docs/benchmark.md)"
        ),
    )
    parser.add_argument("--strict", action="store_true", help="end with status 1 when a goal is missed")
    parser.add_argument(
        "--nice",
        type=int,
        default=0,
        help=(
            "run everything at this priority; on a shared machine -10 keeps others' work out of the figures"
            " (needs root)"
        ),
    )
    return parser.parse_args()


def _measure(names: list[str], *, quick: bool) -> list[Row]:
    rows: list[Row] = []
    with stop_on_signals(), Lab() as lab:
        for name in names:
            since = time.perf_counter()
            rows += MEASURES[name](lab, QUICK if quick else FULL)
            print(f"{name}: {time.perf_counter() - since:.0f} s", file=sys.stderr, flush=True)
    return rows


def main() -> int:
    """Run what was asked for; the exit status."""
    arguments = _arguments()
    os.nice(arguments.nice)
    since = time.perf_counter()
    try:
        rows = _measure(arguments.only or list(MEASURES), quick=arguments.quick)
    except (ProcessFailed, LoadFailed, WrongAnswer) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("bench: stopped", file=sys.stderr)
        return 130
    took_s = round(time.perf_counter() - since, 1)
    results = Results(datetime.now(UTC).isoformat(timespec="seconds"), took_s, describe(), rows, judge(rows))
    print(table(results))
    out = arguments.out or (None if arguments.quick or arguments.only else Path(__file__).parent)
    if out:
        out.mkdir(parents=True, exist_ok=True)
        (out / "results.json").write_bytes(
            msgspec.json.format(msgspec.json.encode(results), indent=2) + b"\n"
        )
        (out / "report.svg").write_text(picture(results), encoding="utf-8")
    if out and not arguments.out:
        text = _PAGE.read_text(encoding="utf-8")
        _PAGE.write_text(page(text, results), encoding="utf-8")
    return 1 if arguments.strict and not all(verdict.met for verdict in results.verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
