"""`python -m bench.memory`: measure, print the tables. `--write` puts them into the documentation, `--part
NAME` measures one part only.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench.memory import compaction, cost, layers, recall

ROOT = Path(__file__).parents[2]


class Part(NamedTuple):
    """A part of the measurements: `measure` returns its tables; they stand in a file of the documentation
    between the marks `<!-- NAME: … -->` and `<!-- NAME: end -->`.
    """

    measure: Callable[[], str]
    file: str
    mark: str


PARTS = {
    "recall": Part(recall.tables, "docs/search.md", "memory"),
    "layers": Part(layers.tables, "docs/isolation.md", "layers"),
    "cost": Part(cost.tables, "docs/benchmark.md", "cost"),
    "compaction": Part(compaction.tables, "docs/benchmark.md", "compaction"),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--part", choices=sorted(PARTS))
    options = parser.parse_args()
    for name, part in PARTS.items():
        if options.part in (None, name):
            tables = part.measure()
            sys.stdout.write(f"{tables}\n")
            if options.write:
                write(part, tables)


def write(part: Part, tables: str) -> None:
    """Put the tables between the marks."""
    path = ROOT / part.file
    before, rest = path.read_text(encoding="utf-8").split(f"<!-- {part.mark}: what", 1)
    opening, rest = rest.split("-->\n", 1)
    _, after = rest.split(f"<!-- {part.mark}: end -->", 1)
    mark = f"<!-- {part.mark}: what{opening}-->"
    path.write_text(f"{before}{mark}\n\n{tables}\n\n<!-- {part.mark}: end -->{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
