"""Running one task, and what came of it."""

import os
import tempfile
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from bench.eval.talk import Script, idle, parrot
from bench.eval.task import Failed, Skipped, Task
from bench.eval.tasks import ALL
from bench.eval.world import RealModel, a_world
from bench.machine import ProcessFailed

Verdict = Literal["passed", "failed", "skipped", "no tools"]
_DIRECTORY: Final = "/var/tmp"
"""Commands have a /tmp of their own, which hides what is in the other."""
SCRIPTED: Final = "scripted"
STAND_INS: Final[dict[str, Script]] = {"idle": idle, "parrot": parrot}
"""Models that do nothing: no task may pass with them."""
_WITHOUT_TOOLS: Final = ("local", "echo")
_MODEL_TABLES: Final = ("model", "models", "providers", "prices")


class Outcome(msgspec.Struct, frozen=True):
    """What came of a task: `why` it did not pass, and how long it took."""

    task: str
    subject: str
    verdict: Verdict
    seconds: float
    why: str = ""


def run_task(task: Task, model: Script | RealModel | None, patience_s: float) -> Outcome:
    """Do the task in a new world. `model`: what answers in the place of the task's script."""
    began = time.monotonic()

    def outcome(verdict: Verdict, why: str = "") -> Outcome:
        return Outcome(task.name, task.subject, verdict, round(time.monotonic() - began, 1), why)

    with tempfile.TemporaryDirectory(
        prefix="nanobot-eval-", dir=_DIRECTORY, ignore_cleanup_errors=True
    ) as directory:
        # Commands run as other users where the server is root.
        Path(directory).chmod(0o711)
        with a_world(Path(directory) / "world", model or task.script, patience_s) as world:
            try:
                if task.prepare is not None:
                    task.prepare(world)
                world.configure(task.settings)
                world.start()
                task.work(world)
            except Skipped as error:
                return outcome("skipped", str(error))
            except Failed as error:
                said = world.last_words()
                why = "\n".join(filter(None, (str(error), *world.script_errors[:1], *world.script_log, said)))
                return outcome("failed", why)
            except ProcessFailed as error:
                return outcome("failed", str(error))
            if world.script_errors:
                return outcome("failed", world.script_errors[0])
    return outcome("passed")


def run_named(name: str, model: str, settings: str, patience_s: float) -> Outcome:
    """Do the task of that name with the model of that name; `settings` (TOML) say how it is reached."""
    task = next(task for task in ALL if task.name == name)
    if model == SCRIPTED:
        return run_task(task, None, patience_s)
    if model in STAND_INS:
        return run_task(task, STAND_INS[model], patience_s)
    if task.needs_tools and model.split(":")[0] in _WITHOUT_TOOLS:
        return Outcome(task.name, task.subject, "no tools", 0.0, "the model is not offered the tools for it")
    keys = {name: value for name, value in os.environ.items() if name.startswith("OPENAI_")}
    return run_task(task, RealModel(model, settings, keys), patience_s)


def model_settings(config: Path) -> str:
    """Return what a settings file says of models, as TOML.

    Raises:
        ValueError: it is no TOML.
        OSError: it cannot be read.
    """
    tables = tomllib.loads(config.read_text(encoding="utf-8"))
    return "\n".join(f"{name} = {_inline(tables[name])}" for name in _MODEL_TABLES if name in tables)


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{_string(name)} = {_inline(each)}" for name, each in value.items())
        return f"{{{pairs}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_inline, value))}]"
    # Strings, numbers and truth values of JSON are TOML, too.
    return _string(value)


def _string(value: Any) -> str:
    return msgspec.json.encode(value).decode()
