"""Run the tasks, print what came of each, and what of all; the exit status is 1 where one has failed."""

import argparse
import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Final

import msgspec

from bench.eval.page import PAGE, keep
from bench.eval.run import SCRIPTED, STAND_INS, Outcome, model_settings, run_named
from bench.eval.task import Task
from bench.eval.tasks import ALL
from bench.machine import describe, stop_on_signals

_PATIENCE_S: Final = 240.0
_REAL_PATIENCE_S: Final = 600.0


def _outcomes(
    tasks: Sequence[Task], model: str, settings: str, patience_s: float, jobs: int
) -> Iterator[Outcome]:
    """Yield what came of each task as it ends."""
    if jobs == 1:
        for task in tasks:
            yield run_named(task.name, model, settings, patience_s)
        return
    # Each in a process: what a task starts ends with the process.
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        started = [pool.submit(run_named, task.name, model, settings, patience_s) for task in tasks]
        try:
            for done in as_completed(started):
                yield done.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _line(outcome: Outcome) -> str:
    first = outcome.why.splitlines()[0] if outcome.why else ""
    return f"{outcome.verdict:9}{outcome.seconds:>7.1f} s  {outcome.subject}: {outcome.task}" + (
        f"\n    {first}" if first else ""
    )


def main() -> int:
    """Run what the options say."""
    parser = argparse.ArgumentParser(prog="python -m bench.eval", description=__doc__)
    parser.add_argument("--task", default="", help="tasks whose name or subject has this in it")
    parser.add_argument(
        "--model",
        default=SCRIPTED,
        help="what answers: `scripted`; `idle` and `parrot`, which do nothing; or any model of nanobot's",
    )
    parser.add_argument("--config", type=Path, help="settings file that says how the model is reached")
    parser.add_argument("--jobs", type=int, default=2, help="how many tasks run at once")
    parser.add_argument("--patience", type=float, help="how many seconds a turn may take")
    parser.add_argument("--json", type=Path, help="file to write the outcomes into")
    parser.add_argument("--write", action="store_true", help=f"put the outcomes into {PAGE.name}")
    parser.add_argument("--list", action="store_true", help="only list the tasks")
    parser.add_argument("--verbose", action="store_true", help="print all that is known of a failure")
    arguments = parser.parse_args()
    tasks = [task for task in ALL if arguments.task in f"{task.subject}: {task.name}"]
    if arguments.list:
        print("\n".join(f"{task.subject}: {task.name}: {task.shows}" for task in tasks))
        return 0
    if arguments.write and (arguments.task or arguments.model in STAND_INS):
        parser.error("--write needs all tasks, and a model that does something")
    try:
        settings = model_settings(arguments.config) if arguments.config else ""
    except (OSError, ValueError) as error:
        parser.error(f"{arguments.config}: {error}")
    is_real = arguments.model not in (SCRIPTED, *STAND_INS)
    patience_s = arguments.patience or (_REAL_PATIENCE_S if is_real else _PATIENCE_S)
    outcomes: list[Outcome] = []
    with stop_on_signals():
        for outcome in _outcomes(tasks, arguments.model, settings, patience_s, arguments.jobs):
            outcomes.append(outcome)
            print(_line(outcome), flush=True)
            if arguments.verbose and outcome.why:
                print(outcome.why)
    counts = {verdict: sum(each.verdict == verdict for each in outcomes) for verdict in ("passed", "failed")}
    print(f"{arguments.model}: {counts['passed']} of {len(outcomes)} passed, {counts['failed']} failed")
    if arguments.write:
        keep(arguments.model, outcomes, describe())
    if arguments.json:
        arguments.json.write_bytes(msgspec.json.encode(outcomes))
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
