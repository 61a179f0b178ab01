"""`python -m tests.chaos --minutes N [--seed S]`; exit status 1 where anything was lost, doubled, malformed
or stuck.
"""

import argparse
import random
import sys

from tests.chaos.run import Scale, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long the server is attacked [10]")
    parser.add_argument(
        "--seed", type=int, default=None, help="repeat the run of this seed, as far as the machine allows"
    )
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else random.randrange(10**6)
    print(f"chaos for {given.minutes:g} minutes, seed {seed}", flush=True)
    report = run(Scale(seconds=given.minutes * 60, seed=seed))
    print(report, flush=True)
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
