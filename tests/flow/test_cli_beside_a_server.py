"""`nanobot chat` beside a running server of the same data directory, as processes."""

import contextlib
import os
import re
import signal
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from nanobot.core.offline import RunningServer
from nanobot.stores.sqlite.offline import SqliteOffline
from tests.certificate import certificate

BOUND_S = 30.0


def environment(directory: Path, **variables: str) -> dict[str, str]:
    path = {"PATH": os.environ["PATH"], "HOME": str(directory), "PYTHONPATH": str(Path.cwd())}
    return {**path, "USER": "ann", "LOGNAME": "ann", **variables}


@contextlib.contextmanager
def serving(directory: Path, *arguments: str, **variables: str) -> Iterator[str]:
    """Yield the address of a server on `directory`/data; stop it afterwards."""
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
            "data",
            *arguments,
        ],
        cwd=directory,
        env=environment(directory, **variables),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        url = next(found[1] for line in process.stdout if (found := re.search(r"listens on +(\S+)", line)))
        next(line for line in process.stdout if "keeps data" in line)
        yield url
        process.send_signal(signal.SIGTERM)
        process.wait(BOUND_S)
    finally:
        process.kill()
        process.communicate()


def ask(directory: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "nanobot", "chat", "--data", "data", "-m", "hello", *arguments],
        cwd=directory,
        env=environment(directory, **variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BOUND_S,
    )


def running(directory: Path) -> RunningServer:
    server = SqliteOffline(directory / "data").running_server()
    assert server is not None
    return server


def test_the_chat_talks_to_the_server_that_uses_its_directory(tmp_path: Path) -> None:
    with serving(tmp_path) as url:
        ran = ask(tmp_path)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "You said: hello\n", "")
        assert running(tmp_path).url == url
    again = ask(tmp_path, "--model", "echo")
    assert (again.returncode, again.stdout) == (0, "You said: hello\n")
    with SqliteOffline(tmp_path / "data").open_readonly() as store:
        assert [(session.key, session.messages) for session in store.sessions(limit=9)] == [("cli:dm:ann", 4)]


def test_it_is_let_in_without_knowing_the_key_whatever_else_is_set(tmp_path: Path) -> None:
    """The wrong key in the environment is that of another server."""
    with serving(tmp_path, NANOBOT_API_KEY="the-servers-own-key-0123456789abcdef"):
        assert ask(tmp_path).stdout == "You said: hello\n"
        assert ask(tmp_path, NANOBOT_API_KEY="of-another-server").stdout == "You said: hello\n"


def test_over_https_it_trusts_the_certificate_of_that_server_whatever_its_name(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path, "nanobot.example")
    with serving(tmp_path, "--tls-cert", str(cert), "--tls-key", str(key)) as url:
        assert ask(tmp_path).stdout == "You said: hello\n"
        port = url.rpartition(":")[2]
        examined = subprocess.run(
            [sys.executable, "-m", "nanobot", "doctor", "--model", "echo", "--data", "data", "--port", port],
            cwd=tmp_path,
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=BOUND_S,
        )
        assert f"a nanobot answers on 127.0.0.1 port {port}" in examined.stdout
        # The texts stand below each other.
        assert {line[16:18] for line in examined.stdout.splitlines()} == {"  "}
        assert " " not in {line[18] for line in examined.stdout.splitlines()}
        told = ask(tmp_path, "--url", url)
        assert told.returncode == 1 and "is not trusted here" in told.stderr
        assert "SSL_CERT_FILE" in told.stderr and told.stderr.count("\n") == 1
        named = ask(tmp_path, "--url", url, SSL_CERT_FILE=str(cert))
        assert "is for another name" in named.stderr
        plain = ask(tmp_path, "--url", url.replace("https:", "http:"))
        assert plain.stderr == f"nanobot: {url.replace('https:', 'http:')} speaks HTTPS: use {url}\n"


def test_a_url_that_says_https_where_http_is_spoken_is_told(tmp_path: Path) -> None:
    with serving(tmp_path) as url:
        told = ask(tmp_path, "--url", url.replace("http:", "https:"))
    assert told.returncode == 1
    assert f"if the server does not speak HTTPS, use {url}" in told.stderr


def test_a_server_for_all_hosts_with_a_list_of_names_is_found_too(tmp_path: Path) -> None:
    variables = {"NANOBOT_API_KEY": "kW3-tR8_qZ6-mB1_xN5-hJ9", "NANOBOT_API_ALLOWED_HOSTS": "nanobot.example"}
    with serving(tmp_path, "--host", "0.0.0.0", **variables):
        assert ask(tmp_path).stdout == "You said: hello\n"


def test_only_the_owner_can_read_the_key_and_it_is_gone_with_the_server(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    lock = tmp_path / "data" / "nanobot.lock"
    lock.write_text("1\n")
    lock.chmod(0o644)
    with serving(tmp_path, NANOBOT_API_KEY="the-servers-own-key-0123456789abcdef") as url:
        assert stat.S_IMODE(lock.stat().st_mode) == 0o600
        token = running(tmp_path).token
        assert len(token) > 40 and token in lock.read_text()

        def status(path: str) -> int:
            headers = {"authorization": f"Bearer {token}", "x-session-key": "cli:dm:ann"}
            request = urllib.request.Request(url + path, headers=headers)
            try:
                with urllib.request.urlopen(request, timeout=BOUND_S) as answer:
                    return int(answer.status)
            except urllib.error.HTTPError as error:
                with error:
                    return error.code

        assert [status(path) for path in ("/v1/sessions", "/v1/files", "/metrics")] == [200, 200, 403]
    assert token not in (tmp_path / "data" / "audit.jsonl").read_text()
    assert token not in lock.read_text()
    with serving(tmp_path):
        assert running(tmp_path).token != token


def test_a_model_that_the_server_does_not_have_is_told_with_the_ways_out(tmp_path: Path) -> None:
    (tmp_path / "nanobot.toml").write_text('[models.fast]\nname = "echo"\n')
    with serving(tmp_path):
        assert ask(tmp_path, "--model", "nanobot:fast").stdout == "You said: hello\n"
        told = ask(tmp_path, "--model", "ollama:qwen3")
        assert told.returncode == 1 and "--data" in told.stderr and "`ollama:qwen3`" in told.stderr
        assert told.stderr.count("\n") == 1


def test_what_a_killed_server_left_is_not_believed(tmp_path: Path) -> None:
    with serving(tmp_path):
        os.kill(int(running(tmp_path).process), signal.SIGKILL)
    assert SqliteOffline(tmp_path / "data").running_server() is None
    assert ask(tmp_path, "--model", "echo").stdout == "You said: hello\n"


@pytest.mark.parametrize("text", ["", "12\n", "12\nhttp://127.0.0.1:1\nnb-x\n\n", "\x00\xff\n\n\n\n\n\n"])
def test_a_lock_file_that_nobody_holds_means_no_server(text: str, tmp_path: Path) -> None:
    (tmp_path / "nanobot.lock").write_text(text)
    assert SqliteOffline(tmp_path).running_server() is None
    assert SqliteOffline(tmp_path / "none").running_server() is None


def compact(directory: Path, key: str) -> "subprocess.CompletedProcess[str]":
    return command(directory, "sessions", "compact", key)


def command(directory: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "nanobot", *arguments, "--data", "data"],
        cwd=directory,
        env=environment(directory, NANOBOT_MODEL_NAME="echo"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        check=False,
    )


def test_a_conversation_is_summarised_by_the_server_and_without_one(tmp_path: Path) -> None:
    with serving(tmp_path):
        for number in range(3):
            assert ask(tmp_path, "-m", f"{number}. My locker is AB-12X. " + "hello " * 200).returncode == 0
        ran = compact(tmp_path, "cli:dm:ann")
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout.startswith("4 messages summarised; a summary stands for the first 4.")
        assert "AB-12X" in ran.stdout
        assert compact(tmp_path, "nobody").stderr == "nanobot: no session 'nobody' here\n"
    ran = compact(tmp_path, "cli:dm:ann")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("nothing to summarise")


def test_a_person_is_erased_by_the_server_that_runs(tmp_path: Path) -> None:
    with serving(tmp_path):
        assert ask(tmp_path, "-m", "my locker is AB-12X").returncode == 0
        ran = command(tmp_path, "people", "erase", "cli:ann", "--yes")
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout.startswith("cli:ann is erased: 1 sessions, 2 messages, 1 turns, 0 files")
        again = command(tmp_path, "people", "erase", "cli:ann", "--yes")
        assert (again.returncode, again.stderr) == (2, "nanobot: no person 'cli:ann' here\n")
    with SqliteOffline(tmp_path / "data").open_readonly() as store:
        assert store.sessions(limit=9) == ()
    entries = (tmp_path / "data" / "audit.jsonl").read_text()
    assert "/v1/people" in entries


def test_facts_are_added_corrected_and_forgotten_by_the_server_that_runs(tmp_path: Path) -> None:
    key = "wx:dm:josé"
    with serving(tmp_path):
        added = command(tmp_path, "memory", "add", key, "lives in Rome", "--pin")
        assert added.returncode == 0, added.stderr
        changed = command(tmp_path, "memory", "change", key, "rome", "--text", "lives in Berlin")
        assert (changed.returncode, changed.stdout) == (0, added.stdout), changed.stderr
        newer = command(tmp_path, "memory", "add", key, "lives in Oslo", "--replaces", "berlin")
        assert newer.stdout == added.stdout, newer.stderr
        # As without a server: the operator has said it.
        assert "lives in Oslo (person, operator, pinned)" in command(tmp_path, "memory", "list", key).stdout
        refused = command(tmp_path, "memory", "add", key, "x", "--layer", "group")
        assert refused.returncode == 2 and "may not write facts of the group" in refused.stderr
        gone = command(tmp_path, "memory", "forget", key, "oslo", "--yes")
        assert (gone.returncode, gone.stdout) == (0, "forgotten: lives in Oslo\n"), gone.stderr
        again = command(tmp_path, "memory", "forget", key, added.stdout.strip(), "--yes")
        assert again.returncode == 2 and "no fact" in again.stderr
        assert command(tmp_path, "memory", "list", key).stdout == "nothing is remembered\n"
    assert "/v1/memory" in (tmp_path / "data" / "audit.jsonl").read_text()


def test_facts_are_the_operators_beside_a_server_that_asks_for_keys_too(tmp_path: Path) -> None:
    with serving(tmp_path, NANOBOT_API_KEY="k" * 32):
        assert command(tmp_path, "memory", "add", "wx:dm:ann", "lives in Rome").returncode == 0
        assert command(tmp_path, "memory", "change", "wx:dm:ann", "rome", "--about", "Bob").returncode == 0
        listed = command(tmp_path, "memory", "list", "wx:dm:ann").stdout
        assert "Bob: lives in Rome (person, operator)" in listed


def test_conversations_are_named_copied_and_deleted_by_the_server_that_runs(tmp_path: Path) -> None:
    key, copy = "cli:dm:ann", "cli:dm:josé"
    with serving(tmp_path):
        assert ask(tmp_path, "-m", "my locker is AB-12X").returncode == 0
        assert ask(tmp_path, "-m", "hello").returncode == 0
        named = command(tmp_path, "sessions", "rename", key, "The locker")
        assert named.returncode == 0, named.stderr
        copied = command(tmp_path, "sessions", "fork", key, copy, "--at", "msg_2")
        assert (copied.returncode, copied.stdout) == (0, "2 messages copied\n"), copied.stderr
        again = command(tmp_path, "sessions", "fork", key, copy)
        assert again.returncode == 2 and copy in again.stderr
        gone = command(tmp_path, "sessions", "delete", key, "--yes")
        assert gone.returncode == 0, gone.stderr
        assert gone.stdout == "4 messages, 2 turns, 0 files and 0 versions of facts deleted\n"
        missing = command(tmp_path, "sessions", "rename", key, "x")
        assert missing.returncode == 2 and "no session 'cli:dm:ann'" in missing.stderr
    with SqliteOffline(tmp_path / "data").open_readonly() as store:
        (left,) = store.sessions(limit=9)
        assert (left.key, left.title, left.messages) == (copy, "The locker", 2)
