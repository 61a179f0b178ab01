"""A full disk: nothing is half-written, whoever asks is told, and all goes on when there is space again."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import openai
import pytest

from tests.chaos.driver import AFTER, FIRST, SECOND, Death, Life, Lives
from tests.chaos.judge import Evidence
from tests.chaos.server import Server

resource = pytest.importorskip("resource", reason="limits of a process are not known here")
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs prlimit and tmpfs")
KEY = {"x-session-key": "chaos:dm:1"}


def ask(server: Server, text: str) -> str:
    with openai.OpenAI(base_url=server.url, api_key="none", timeout=20, max_retries=0) as client:
        answer = client.chat.completions.create(
            model="nanobot", messages=[{"role": "user", "content": text}], extra_headers=KEY
        )
    return (answer.choices[0].message.content or "").removeprefix("You said: ")


def said(evidence: Evidence) -> list[str]:
    """Return what users said, in order."""
    return [found.message.text for found in evidence.messages if found.message.role == "user"]


@contextlib.contextmanager
def started(directory: Path) -> Iterator[Server]:
    server = Server(directory, {}, model="echo")
    try:
        server.start()
        server.wait_ready()
        yield server
    finally:
        server.kill()


def readiness(server: Server) -> int:
    """Return what `/ready` answers: whether the store can commit now."""
    return httpx2.get(f"{server.url.removesuffix('/v1')}/ready", timeout=20).status_code


def found(server: Server, words: str) -> httpx2.Response:
    return httpx2.get(f"{server.url}/sessions", params={"q": words}, timeout=20)


def refused(server: Server, text: str) -> openai.APIStatusError:
    with pytest.raises(openai.APIStatusError) as caught:
        ask(server, text)
    return caught.value


def test_admission_on_a_file_that_may_not_grow_is_refused_and_works_again_later(tmp_path: Path) -> None:
    """A limit on the size of files stands for a quota: every write past it fails."""
    with started(tmp_path) as server:
        assert ask(server, "one") == "one"
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        error = refused(server, "two")
        assert (error.status_code, error.code) == (503, "store_error")
        assert server.is_alive()
        assert readiness(server) == 503
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert readiness(server) == 200
        assert ask(server, "three") == "three"
        server.stop(10)
    evidence = Evidence(server.data, tmp_path)
    assert evidence.integrity == ["ok"]
    assert said(evidence) == ["one", "three"]
    assert len(evidence.messages) == 4
    assert len(evidence.turns) == 2


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True
        ).returncode
    ):
        pytest.skip("needs the right to mount a tmpfs")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def fill(directory: Path, *, leave_bytes: int = 0) -> Path:
    """Write a file that takes up what is left of the disk."""
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    os.truncate(filler, filler.stat().st_size - leave_bytes)
    return filler


def test_admission_on_a_full_disk_says_so_and_works_again_when_there_is_space(
    tmp_path: Path, small_disk: Path
) -> None:
    server = Server(tmp_path, {}, model="echo", data=small_disk / "data")
    try:
        server.start()
        server.wait_ready()
        assert ask(server, "one") == "one"
        assert len(found(server, "one").json()["data"]) == 1
        filler = fill(small_disk)
        errors = [refused(server, f"a text that is in vain {number} " + "x" * 5000) for number in range(5)]
        assert {(error.status_code, error.code) for error in errors} == {(503, "store_error")}
        assert "full" in errors[0].message
        # Reading and searching need no space.
        searched = found(server, "one")
        assert (searched.status_code, len(searched.json()["data"])) == (200, 1), searched.text
        filler.unlink()
        assert ask(server, "two") == "two"
        server.stop(10)
    finally:
        server.kill()
    evidence = Evidence(server.data, tmp_path)
    assert evidence.integrity == ["ok"]
    assert said(evidence) == ["one", "two"]
    assert len(evidence.messages) == 4


@pytest.mark.parametrize("left_pages", [0, 2, 4, 6, 9, 14])
def test_a_server_started_on_a_full_disk_refuses_or_answers_once_there_is_space(
    tmp_path: Path, small_disk: Path, left_pages: int
) -> None:
    """However little space there is: it does not start and says why, or it is whole.

    Never does it listen without an engine.
    """
    data = small_disk / "data"
    data.mkdir()
    with Lives() as lives:
        lives.dies(Life(str(data), "queue", Death("after", "admission", 2)))
    server = Server(tmp_path, {}, model="echo", data=data)
    filler = fill(small_disk, leave_bytes=left_pages * 4096)
    try:
        server.start()
        try:
            server.wait_ready()
        except RuntimeError:
            words = server.last_words()
            assert server.exit_status == 2, words
            assert "full" in words or "No space left" in words
            assert "Traceback" not in words
            filler.unlink()
            server.start()
            server.wait_ready()
        else:
            filler.unlink()
        assert ask(server, AFTER) == AFTER
    finally:
        server.kill()
    assert said(Evidence(server.data, tmp_path)) == [FIRST, SECOND, AFTER]
