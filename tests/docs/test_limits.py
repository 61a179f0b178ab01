"""docs/limits.md has every bound that is a setting, with its default, and no other."""

import re
from pathlib import Path

from tests.docs.test_reference import settings, shown

PAGE = (Path(__file__).parents[2] / "docs" / "limits.md").read_text(encoding="utf-8")
_ROW = re.compile(r"^\| [^|]+ \| ([^|]+) \| `([a-z]+\.[a-z_]+)` \| [^|]+ \|$", re.MULTILINE)
_OF_THE_PROVIDER = ("model.",)
"""How a model is asked is described with the providers; only its answers are bounded here."""


def is_bound(name: str) -> bool:
    setting = name.partition(".")[2]
    return setting.startswith("max_") or setting.endswith(
        ("_mb", "_kb", "_timeout_s", "_tokens", "_characters")
    )


def test_every_bound_is_listed_with_its_default() -> None:
    listed = {name: default.strip() for default, name in _ROW.findall(PAGE)}
    for name, default in settings().items():
        if is_bound(name) and not name.startswith(_OF_THE_PROVIDER):
            assert listed.get(name) == shown(default), f"docs/limits.md lacks {name} with {shown(default)}"


def test_every_listed_setting_exists_with_that_default() -> None:
    known = settings()
    rows = _ROW.findall(PAGE)
    assert len(rows) > 20
    for default, name in rows:
        assert shown(known[name]) == default.strip(), name
