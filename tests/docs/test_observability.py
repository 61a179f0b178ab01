"""docs/observability.md lists every metric and every log field, and nothing that is not there."""

import re
from pathlib import Path

from nanobot.telemetry.logs import FIELDS
from nanobot.telemetry.metrics import Metrics
from nanobot.testing import FakeClock

PAGE = (Path(__file__).parents[2] / "docs" / "observability.md").read_text(encoding="utf-8")
METRICS, LOGS = PAGE.split("## Log lines")[0], PAGE.split("## Log lines")[1].split("## Traces")[0]


def rows(text: str) -> list[str]:
    return re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)


def test_every_metric_is_listed_and_every_one_listed_exists() -> None:
    text = Metrics(FakeClock()).text(waiting=0, running=0)
    assert set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)) == {row.strip("`") for row in rows(METRICS)}


def test_every_log_field_is_listed_and_every_one_listed_exists() -> None:
    assert set(FIELDS) == {name for row in rows(LOGS) for name in re.findall(r"`(\w+)`", row)}
