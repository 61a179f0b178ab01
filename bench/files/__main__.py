"""`python -m bench.files`: make the corpus, read it, report. `--write` puts the table into docs/files.md,
`--kind DOCX` reads one kind only, `--save DIR` keeps the files, `--show NAME` prints what is read of one.
"""

import argparse
import asyncio
import sys
from pathlib import Path

from bench.files.case import Case
from bench.files.makers import all_cases
from bench.files.measure import Reading, read
from bench.files.report import failures, table, write
from nanobot.reading.documents import DocumentReader
from nanobot.workers.pool import WorkerPool


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.files", description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--kind", default="")
    parser.add_argument("--save", type=Path)
    parser.add_argument("--show", default="")
    options = parser.parse_args()
    cases = [
        case for case in all_cases() if not options.kind or case.kind.casefold() == options.kind.casefold()
    ]
    if options.save:
        options.save.mkdir(parents=True, exist_ok=True)
        for case in cases:
            (options.save / case.name).write_bytes(case.content)
    if options.show:
        asyncio.run(_show([case for case in cases if options.show in case.name]))
        return
    readings = asyncio.run(_readings(cases))
    if options.write:
        write(readings)
    sys.stdout.write("\n".join([table(readings), "", *failures(readings), ""]))


async def _readings(cases: list[Case]) -> list[Reading]:
    workers = WorkerPool()
    try:
        reader = DocumentReader(workers)
        return [await read(reader, case) for case in cases]
    finally:
        await workers.close()


async def _show(cases: list[Case]) -> None:
    workers = WorkerPool()
    try:
        for case in cases:
            document = await DocumentReader(workers).read(case.content, name=case.name, mime=case.mime)
            sys.stdout.write(f"=== {case.name}\n{document.text}\n")
    finally:
        await workers.close()


if __name__ == "__main__":
    main()
