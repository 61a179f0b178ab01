"""What coding agents are tried on: a small repository, and instructions for the rule-based model."""

import os
import subprocess
from pathlib import Path

import httpx

BOUND_S = 100


def repository(place: Path) -> Path:
    """Make a git repository with the file app.py, which says `hello = 1`."""
    place.mkdir()
    (place / "app.py").write_text("hello = 1\n")
    for command in (
        ("init", "-q"),
        ("config", "user.name", "test"),
        ("config", "user.email", "test@example.com"),
        ("add", "app.py"),
        ("commit", "-qm", "first"),
    ):
        run(["git", *command], place, HOME=str(place))
    return place


def run(command: list[str], directory: Path, said: str = "", **variables: str) -> str:
    """Run a command with `said` as its input; return what it printed."""
    done = subprocess.run(
        command,
        cwd=directory,
        env={"PATH": os.environ["PATH"], **variables},
        input=said,
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def transcript(address: str, key: str) -> str:
    """Return the messages of a session as the server lists them, as JSON."""
    answer = httpx.get(f"{address}/v1/sessions/{key}/messages")
    assert answer.status_code == 200, answer.text
    return answer.text
