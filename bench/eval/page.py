"""What came of the tasks, kept beside the code and shown as the table of `docs/eval.md`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from bench.eval.run import SCRIPTED, Outcome
from bench.eval.tasks import ALL
from bench.machine import ROOT

PAGE: Final = ROOT / "docs" / "eval.md"
RESULTS: Final = ROOT / "bench" / "eval" / "results.json"
_BEGIN: Final = "<!-- eval: what `make eval ARGS=--write` puts here -->\n"
_END: Final = "<!-- eval: end -->\n"
_WORDS: Final = {"passed": "yes", "failed": "**no**", "skipped": "skipped", "no tools": "–"}


class Run(msgspec.Struct):
    """One run over all tasks with a model."""

    machine: dict[str, str]
    outcomes: list[Outcome]


def keep(model: str, outcomes: Sequence[Outcome], machine: Mapping[str, str]) -> None:
    """Keep the run in the place of the model's last one, and write the page anew."""
    runs = _kept()
    order = {task.name: number for number, task in enumerate(ALL)}
    runs[model] = Run(dict(machine), sorted(outcomes, key=lambda each: order[each.task]))
    # What a failure said is of no use to readers, and names places of this machine.
    for run in runs.values():
        run.outcomes = [msgspec.structs.replace(each, why="") for each in run.outcomes]
    RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(runs), indent=1) + b"\n")
    text = PAGE.read_text(encoding="utf-8")
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{PAGE} has no marks for the table: {_BEGIN.strip()} … {_END.strip()}")
    PAGE.write_text(before + begin + table(runs) + end + after, encoding="utf-8")


def _kept() -> dict[str, Run]:
    if not RESULTS.exists():
        return {}
    return msgspec.json.decode(RESULTS.read_bytes(), type=dict[str, Run])


def table(runs: Mapping[str, Run]) -> str:
    """Return the runs as Markdown: a sentence and a column for each, the scripts first."""
    models = sorted(runs, key=lambda name: (name != SCRIPTED, name))
    lines = [*(_sentence(name, runs[name]) for name in models), ""]
    columns = " | ".join(f"{name} | s" for name in models)
    lines += [f"| task | what it shows | {columns} |", "|---|---|" + "---|---|" * len(models)]
    lines += _rows(models, runs)
    return "\n".join(lines) + "\n"


def _sentence(name: str, run: Run) -> str:
    tried = [each for each in run.outcomes if each.verdict in ("passed", "failed")]
    passed = sum(each.verdict == "passed" for each in tried)
    left = len(run.outcomes) - len(tried)
    without = f" For the other {left} it is not offered the tools." if left else ""
    machine = f"{run.machine['processor']}, {run.machine['system']}, Python {run.machine['python']}"
    return f"`{name}`: **{passed} of {len(tried)}** passed.{without} On {machine}.\n"


def _rows(models: Sequence[str], runs: Mapping[str, Run]) -> Iterator[str]:
    came = {(name, each.task): each for name in models for each in runs[name].outcomes}
    subject = ""
    for task in ALL:
        if task.subject != subject:
            subject = task.subject
            yield f"| **{subject}** | |" + " | |" * len(models)
        cells = []
        for name in models:
            outcome = came.get((name, task.name))
            is_timed = outcome is not None and outcome.verdict in ("passed", "failed")
            cells.append(_WORDS[outcome.verdict] if outcome else "not run")
            cells.append(f"{outcome.seconds:.0f}" if outcome and is_timed else "")
        yield f"| {task.name} | {task.shows} | {' | '.join(cells)} |"
