"""Codex, as released, with the recipe of docs/use/codex.md."""

import base64
from pathlib import Path

import httpx
import pytest

from tests.clients.coding import repository, run
from tests.clients.node_packages import agents
from tests.clients.pictures import pixel
from tests.clients.recipes import recipe
from tests.clients.serving import Provider

PATCH = r"*** Begin Patch\n*** Update File: app.py\n@@\n-hello = 1\n+hello = 2\n*** End Patch"
TASK = rf"""Read it, then change it.
call exec_command {{"cmd": "cat app.py"}}
call exec_command {{"cmd": "apply_patch <<'EOF'\n{PATCH}\nEOF"}}
answer with: Changed."""
AFTERWARDS = """call exec_command {"cmd": "cat app.py"}
answer with: Shown."""


class Codex:
    """Runs Codex in a repository; each call is a new process, as for a user."""

    def __init__(self, address: str, directory: Path) -> None:
        self.place = repository(directory / "project")
        self._home = directory / "home"
        self._home.mkdir()
        (self._home / "config.toml").write_text(recipe("codex", "ini", address))
        assert "export NANOBOT_API_KEY=unused" in recipe("codex", "sh")

    def __call__(self, *words: str) -> str:
        unguarded = "--dangerously-bypass-approvals-and-sandbox"
        own = {"HOME": str(self._home), "CODEX_HOME": str(self._home), "NANOBOT_API_KEY": "unused"}
        return run([str(agents() / ".bin" / "codex"), "exec", unguarded, *words], self.place, **own)


@pytest.fixture
def codex(address: str, tmp_path: Path) -> Codex:
    return Codex(address, tmp_path)


def test_a_file_is_read_and_edited_and_the_session_goes_on_in_another_process(
    codex: Codex, address: str, provider: Provider
) -> None:
    assert codex(TASK).strip() == "Changed."
    assert (codex.place / "app.py").read_text() == "hello = 2\n"
    assert codex("resume", "--last", AFTERWARDS).strip() == "Shown."

    messages = provider.requests[-1].json["messages"]
    assert [message["role"] for message in messages[1:]] == [
        *("user", "assistant", "tool", "assistant", "tool", "assistant"),
        *("user", "assistant", "tool"),
    ]
    assert "hello = 1" in messages[3]["content"]
    assert "hello = 2" in messages[-1]["content"]
    assert httpx.get(f"{address}/v1/sessions").json()["data"] == []


def test_a_tool_in_a_namespace_is_called(codex: Codex, provider: Provider) -> None:
    codex('call multi_agent_v1__spawn_agent {"message": "answer with: Yes."}\nanswer with: Spawned.')
    (result,) = {
        message["content"]
        for asked in provider.requests
        for message in asked.json["messages"]
        if message["role"] == "tool"
    }
    assert "agent_id" in result


def test_a_picture_that_codex_looks_at_reaches_the_model(codex: Codex, provider: Provider) -> None:
    (codex.place / "dot.png").write_bytes(base64.b64decode(pixel().partition(",")[2]))
    codex('call view_image {"path": "dot.png"}\nanswer with: Seen.')
    assert any("data:image/png;base64," in asked.body.decode() for asked in provider.requests)
