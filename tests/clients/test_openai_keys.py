"""The `openai` package for Python, as released, with API keys that `nanobot keys create` made."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.clients.serving import BOUND_S, ROOT, rule_based_server

HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
SEE: list[Any] = [{"role": "user", "content": "What do you see?"}]
Connect = Callable[..., OpenAI]


def made(data: Path, name: str, *options: str) -> str:
    """Return a new key of the server whose data directory this is."""
    command = [sys.executable, "-m", "nanobot", "keys", "create", name, "--data", str(data), *options]
    environment = {"PATH": os.environ["PATH"], "HOME": str(data), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=data, env=environment, capture_output=True, text=True, timeout=BOUND_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Connect]:
    """Connects to a server with a key that was made for it with the given options."""
    data = tmp_path / "data"
    data.mkdir()
    with contextlib.ExitStack() as stack:

        def connected(*options: str, key: str | None = None) -> OpenAI:
            token = made(data, "client", *options)
            address, _ = stack.enter_context(rule_based_server(tmp_path))
            headers = {"x-session-key": key} if key else {}
            return stack.enter_context(
                OpenAI(base_url=f"{address}/v1", api_key=token, default_headers=headers, max_retries=0)
            )

        yield connected


def test_a_client_that_names_no_session_has_that_of_its_key(connect: Connect) -> None:
    client = connect("--session-key", "continue:dm:alice", "--sessions", "continue:*")
    client.chat.completions.create(model="nanobot", messages=HELLO)
    seen = client.chat.completions.create(model="nanobot", messages=SEE)
    assert (seen.choices[0].message.content or "").endswith("said Hello | What do you see?")


def test_a_session_outside_the_keys_patterns_does_not_exist(connect: Connect) -> None:
    client = connect("--sessions", "wx:dm:*", key="other:dm:bob")
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="nanobot", messages=HELLO)


def test_a_quota_that_is_used_up_is_a_rate_limit_error(connect: Connect) -> None:
    client = connect("--requests-per-minute", "2", key="wx:dm:alice")
    for _ in range(2):
        client.chat.completions.create(model="nanobot", messages=HELLO)
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="nanobot", messages=HELLO)
    headers = caught.value.response.headers
    assert int(headers["retry-after"]) >= 1
    assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-requests"]) == ("2", "0")


def test_a_key_without_the_right_to_files_is_refused(connect: Connect) -> None:
    client = connect("--scope", "chat", key="wx:dm:alice")
    with pytest.raises(openai.PermissionDeniedError):
        client.files.create(file=("note.txt", b"hi"), purpose="user_data")
