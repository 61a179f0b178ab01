"""What the doctor finds of the sandbox of commands: by commands that try to get out of it."""

import sys
from pathlib import Path
from typing import Any

import pytest

from nanobot.app.shell import best_layer
from nanobot.cli.check_result import CheckResult
from nanobot.cli.doctor_sandbox import examine
from nanobot.core.clock import SystemClock
from nanobot.core.ids import SystemRandomness
from tests.harness import configured

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is for Linux")


async def found(data: Path, **tables: dict[str, Any]) -> dict[str, CheckResult]:
    return {result.check: result for result in await examine(configured(data, tables))}


async def test_it_names_the_layers_and_that_commands_are_off(tmp_path: Path) -> None:
    results = await found(tmp_path)
    assert set(results) == {"bubblewrap", "launcher", "shell"}
    assert all(result.status == "ok" for result in results.values())
    assert results["shell"].text.startswith("commands are off (shell.sessions names no session)")


async def test_a_layer_that_is_not_installed_is_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    results = await found(tmp_path, shell={"sessions": ["*"]})
    bubblewrap = results["bubblewrap"]
    assert (bubblewrap.status, bubblewrap.text) == ("warn", "does not hold: it is not installed")
    assert "apt install bubblewrap" in bubblewrap.remedy
    assert "bubblewrap" not in results["shell"].text


async def test_settings_that_make_no_sense_fail(tmp_path: Path) -> None:
    for table, text in (
        ({"sessions": ["\n"]}, "session pattern"),
        ({"sessions": ["*"], "readable": ["usr"]}, "'usr', which is no directory"),
        ({"sessions": ["*"], "readable": ["/tmp"]}, "which commands would not see"),
    ):
        shell = (await found(tmp_path, shell=table))["shell"]
        assert shell.status == "fail" and text in shell.text
    shell = (await found(tmp_path, shell={"sessions": ["*"]}, workspace={"enabled": False}))["shell"]
    assert "workspace.enabled = true" in shell.text


async def test_a_data_directory_that_takes_no_files_is_said_and_ends_nothing() -> None:
    nowhere = Path("/proc/self/fd")
    results = await found(nowhere, shell={"sessions": ["*"]})
    assert results["shell"].text == "commands are off: no layer of the sandbox holds"
    assert results["launcher"].status == "warn" and str(nowhere) in results["launcher"].text
    assert await best_layer(configured(nowhere, {}), SystemClock(), SystemRandomness()) is None


async def test_it_tries_the_network_where_commands_are_to_have_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = {"sessions": ["*"], "network": "allow", "allowed_hosts": ["pypi.org"]}
    results = await found(tmp_path, shell=shell)
    if results["bubblewrap"].status == "ok":
        assert results["network"].text == "commands reach a proxy, and by it only pypi.org"
    monkeypatch.setenv("PATH", "/nonexistent")
    network = (await found(tmp_path, shell=shell))["network"]
    assert network.status == "warn" and "needs the layer bubblewrap" in network.text
    assert "apt install bubblewrap" in network.remedy
    network = (await found(tmp_path, shell={**shell, "allowed_hosts": []}))["network"]
    assert network.status == "fail" and "shell.allowed_hosts" in network.text
