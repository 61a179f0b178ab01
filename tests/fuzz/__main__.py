"""`python -m tests.fuzz --minutes N [--only TARGET …] [--corpus DIRECTORY]`; exit status 1 where anything
crashed.
"""

import argparse
import importlib.util
import sys
from pathlib import Path

from tests.fuzz.run import HEADING, fuzz, total
from tests.fuzz.targets import TARGETS


def main() -> int:
    names = [target.name for target in TARGETS]
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument(
        "--minutes", type=float, default=60.0, help="how long, in all; each target gets an equal share [60]"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=names,
        default=names,
        metavar="TARGET",
        help=f"fuzz only these: {', '.join(names)}",
    )
    parser.add_argument(
        "--corpus", type=Path, default=Path(".fuzz"), help="where inputs are kept from run to run [.fuzz]"
    )
    given = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        sys.exit("fuzzing needs atheris: `make fuzz` installs it (it has wheels for Linux)")
    chosen = [target for target in TARGETS if target.name in given.only]
    share_s = given.minutes * 60 / len(chosen)
    print(f"{len(chosen)} targets, {share_s:.0f} s each\n{HEADING}", flush=True)
    results = []
    for target in chosen:
        results.append(fuzz(target, share_s, given.corpus, sys.stdout))
        print(results[-1], flush=True)
    summary = total(results)
    print(summary, flush=True)
    return 1 if summary.crashes else 0


if __name__ == "__main__":
    sys.exit(main())
