"""The README's commands run, and answer as it says."""

import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL)


def shell() -> list[str]:
    return [text for kind, text in BLOCKS if kind == "sh"]


def curls() -> list[str]:
    return [text for text in shell() if text.startswith("curl")]


def serve(data: Path, *options: str) -> "tuple[subprocess.Popen[str], str]":
    """Start a server on a free port; return it and its address once it listens."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "nanobot",
            "serve",
            "--model",
            "echo",
            "--port",
            "0",
            "--data",
            str(data),
            *options,
        ],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    guard = threading.Timer(30, process.kill)
    guard.start()
    for line in process.stdout:
        if found := re.search(r"listens on\s+(\S+)", line):
            guard.cancel()
            return process, found[1]
    raise AssertionError("the server ended before it listened")


def stop(process: "subprocess.Popen[str]") -> int:
    process.terminate()
    with process:
        return process.wait(30)


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    process, address = serve(tmp_path)
    yield address
    assert stop(process) == 0


def run(command: str, address: str) -> str:
    words = shlex.split(command.replace("\\\n", " ").replace("http://localhost:8900", address))
    return subprocess.run(
        [*words, "-sS", "--max-time", "30"], capture_output=True, text=True, check=True
    ).stdout


def test_the_eight_examples_are_there() -> None:
    assert len(curls()) == 8


def test_the_examples_answer_as_the_readme_says(address: str) -> None:
    """On the echo model, as the small one's words are its own."""
    said = [run(command, address) for command in curls()]
    assert "You said: Hello, who are you?" in said[0]
    assert all("You said: What did I just ask you?" in answer for answer in said[1:3])
    assert "You said: Summarize our discussion" in said[3]
    for answer in said[4:7]:
        shown = re.sub(r'"created":\d+', '"created":…', answer)
        assert shown in README
    assert said[7].rstrip().endswith("data: [DONE]")


def test_the_last_example_is_refused_in_the_words_of_the_readme_where_streaming_is_off(
    tmp_path: Path,
) -> None:
    process, address = serve(tmp_path, "--no-stream")
    try:
        assert run(curls()[7], address) in README
    finally:
        stop(process)


def test_the_official_sdk_works_as_shown(address: str) -> None:
    (program,) = [text for kind, text in BLOCKS if kind == "python"]
    done = subprocess.run(
        [sys.executable, "-c", program.replace("http://localhost:8900", address)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == "You said: What time is it in Tokyo?\n"


@pytest.mark.parametrize("target", ["serve", "test"])
def test_make_knows_the_two_commands(target: str) -> None:
    assert f"```sh\nmake {target}\n```" in README
    done = subprocess.run(["make", "--dry-run", target], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.returncode == 0
