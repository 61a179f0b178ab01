"""`llm`, as released, with the recipe of docs/use/llm.md."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.python_packages import programs
from tests.clients.recipes import recipe
from tests.clients.serving import Provider

pytestmark = pytest.mark.timeout(300)
BOUND_S = 200
Llm = Callable[..., str]


@pytest.fixture
def llm(address: str, key: str, tmp_path: Path) -> Llm:
    """Runs llm; returns what it printed. Each call is a new process, as for a user."""
    settings = recipe("llm", "yaml", address)
    assert "llm:dm:alice" in settings
    (tmp_path / "extra-openai-models.yaml").write_text(settings.replace("llm:dm:alice", key))
    command = str(programs("libraries") / "llm")

    def run(*words: str) -> str:
        done = subprocess.run(
            [command, *words],
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LLM_USER_PATH": str(tmp_path)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=BOUND_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


def test_the_commands_of_the_page(llm: Llm, address: str, key: str, tmp_path: Path) -> None:
    commands = [line for line in recipe("llm", "sh").splitlines() if line]
    own = str(programs("libraries") / "llm")
    script = "\n".join(line.replace("llm ", f"{own} ", 1) for line in commands)
    done = subprocess.run(
        ["bash", "-eu", "-c", script],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LLM_USER_PATH": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:2] == [
        "You said: Hello, who are you?",
        "You said: And what can you do?",
    ]
    assert "The tools said: sunny in Paris" in done.stdout
    assert '{"name":"Ada","age":36}' in done.stdout.replace(" ", "")


def test_a_conversation_with_tools_goes_on_in_another_process(llm: Llm, provider: Provider) -> None:
    tool = 'def get_weather(city: str) -> str: return f"sunny in {city}"'
    first = llm("-m", "nanobot", "--functions", tool, "What is the weather in Paris and Tokyo?")
    assert first == "The tools said: sunny in Paris; sunny in Tokyo"
    llm("-c", "--functions", tool, "Thank you")
    messages = provider.requests[-1].json["messages"][1:]
    assert [message["role"] for message in messages] == [
        "user",
        "assistant",
        "tool",
        "tool",
        "assistant",
        "user",
    ]
    assert [message["content"] for message in messages[2:4]] == ["sunny in Paris", "sunny in Tokyo"]


def test_a_new_conversation_begins_anew_on_the_server(llm: Llm, provider: Provider) -> None:
    llm("-m", "nanobot", "My pin is 1234")
    llm("-m", "nanobot", "Hello, who are you?")
    assert "1234" not in provider.requests[-1].body.decode()
