"""The checks of `nanobot doctor` on a local model. It is not started, as it takes a gigabyte of memory."""

from collections.abc import Iterator
from pathlib import Path

from nanobot.cli.check_result import CheckResult, Status
from nanobot.cli.terminal import size
from nanobot.core.errors import ConfigError
from nanobot.models.local.diagnosis import diagnose
from nanobot.models.weights.installed import Weights, find, parse


def examine(check: str, name: str, why: str, models_dir: Path) -> Iterator[CheckResult]:
    """Check the weights of `name`, then what the engine needs."""
    yield _weights(check, name, why, models_dir)
    for needed in diagnose(models_dir):
        # A missing OpenMP runtime is fetched at the first start.
        status: Status = "ok" if needed.ok else "warn" if needed.subject == "openmp" else "fail"
        yield CheckResult(needed.subject, status, needed.text, needed.remedy)


def _weights(check: str, name: str, why: str, models_dir: Path) -> CheckResult:
    try:
        path = find(name, models_dir)
        source = parse(name)
    except ConfigError as error:
        return CheckResult(check, "fail", error.message)
    if path is not None:
        return CheckResult(check, "ok", f"{name}{why}, weights in {path}")
    length = f" ({size(source.size_bytes)})" if isinstance(source, Weights) else ""
    return CheckResult(
        check,
        "warn",
        f"{name}{why}, weights not here yet",
        f"the first start fetches them{length}, or: nanobot model pull {name}",
    )
