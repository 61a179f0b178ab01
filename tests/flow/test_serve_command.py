"""`nanobot serve` as a process: what it says when it starts, and why it does not."""

import base64
import contextlib
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from nanobot.cli.listener import bind, check_tls, refuse_unprotected_host, refuse_weak_key
from nanobot.config import load
from nanobot.core.accounts import ApiKey
from nanobot.core.errors import ConfigError
from nanobot.stores.sql import keys
from nanobot.stores.sqlite.keys import writing
from tests.certificate import certificate

BOUND_S = 30.0


class Command:
    """Runs `nanobot serve` in a directory of its own, with nothing of the tester's own settings in the
    environment.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(directory), "PYTHONPATH": str(Path.cwd())}
        self.stderr: IO[str] | int = subprocess.PIPE

    def start(self, *arguments: str, **variables: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "nanobot", "serve", *arguments],
            cwd=self.directory,
            env={**self.environment, **variables},
            stdout=subprocess.PIPE,
            stderr=self.stderr,
            text=True,
        )

    def shell(self, line: str) -> str:
        """Return what the line prints in a shell of the same user."""
        return subprocess.run(
            line,
            shell=True,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=BOUND_S,
        ).stdout

    def refused(self, *arguments: str, **variables: str) -> str:
        """Return the one line with which the command refuses to start."""
        process = self.start(*arguments, **variables)
        try:
            out, err = process.communicate(timeout=BOUND_S)
        finally:
            process.kill()
            process.wait()
        assert process.returncode == 2, err
        assert out == ""
        assert err.count("\n") == 1, err
        assert err.startswith("nanobot: "), err
        return err.removeprefix("nanobot: ").strip()


@pytest.fixture
def nanobot(tmp_path: Path) -> Command:
    return Command(tmp_path)


@contextlib.contextmanager
def serving(process: "subprocess.Popen[str]", count: int = 4) -> Iterator[list[str]]:
    """Yield the first lines with which the server says that it listens; stop it afterwards."""
    try:
        assert process.stdout is not None
        lines: list[str] = []
        while len(lines) < count:
            line = process.stdout.readline()
            assert line, process.stderr.read() if process.stderr else ""
            lines.append(line.rstrip())
        yield lines
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(BOUND_S)
    finally:
        process.kill()
        process.communicate()


def test_it_says_where_it_listens_what_answers_and_where_the_data_is(
    nanobot: Command, tmp_path: Path
) -> None:
    process = nanobot.start("--model", "echo", "--port", "0", "--data", str(tmp_path / "data"))
    with serving(process) as (name, listens, answers, keeps):
        assert name.startswith("nanobot ")
        assert "echo (as configured)" in answers
        assert str(tmp_path / "data") in keeps
        url = listens.split()[-1]
        assert url.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(f"{url}/health", timeout=BOUND_S) as response:
            assert response.read() == b'{"status":"ok"}'


def test_what_to_do_next_works_as_it_is_printed_with_a_key_and_over_https_too(
    nanobot: Command, tmp_path: Path
) -> None:
    cert, key = certificate(tmp_path, "nanobot.example")
    data = tmp_path / "my data"
    https = ("--tls-cert", str(cert), "--tls-key", str(key))
    secret = "kW3-tR8_qZ6-mB1_xN5-hJ9"
    for options, variables in (
        ((), {}),
        ((), {"NANOBOT_API_KEY": secret}),
        (https, {"NANOBOT_API_KEY": secret}),
    ):
        process = nanobot.start("--model", "echo", "--port", "0", "--data", str(data), *options, **variables)
        with serving(process, 8) as lines:
            assert lines[4] == "try it:"
            url = lines[1].split()[-1]
            assert lines[7] == f"or open {url}/ in a browser; {url}/docs describes the API"
            assert secret not in "".join(lines)
            curl, chat = lines[5].strip(), lines[6].strip()
            assert "You said: Hello!" in nanobot.shell(f"{curl} -sS")
            assert (
                nanobot.shell(f"{chat} -m 'from the terminal' </dev/null") == "You said: from the terminal\n"
            )


def test_a_server_for_other_machines_says_how_this_one_reaches_it(nanobot: Command) -> None:
    process = nanobot.start(
        "--model", "echo", "--port", "0", "--host", "0.0.0.0", NANOBOT_API_KEY="kW3-tR8_qZ6-mB1_xN5-hJ9"
    )
    with serving(process, 8) as lines:
        assert lines[1].split()[-1].startswith("http://0.0.0.0:")
        assert " http://127.0.0.1:" in lines[5]
        assert "You said: Hello!" in nanobot.shell(f"{lines[5].strip()} -sS")


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_takes_the_house_down_in_order(nanobot: Command, tmp_path: Path, stop: signal.Signals) -> None:
    """The store is closed, not just left: no journal stays behind; nothing is said on the way."""
    process = nanobot.start("--model", "echo", "--port", "0", "--data", str(tmp_path / "data"))
    with serving(process):
        assert (tmp_path / "data" / "nanobot.sqlite3").exists()
        process.send_signal(stop)
        assert process.wait(BOUND_S) in (0, 128 + stop)
        assert process.stderr is not None
        assert process.stderr.read().strip() == ""
    assert sorted(path.name for path in (tmp_path / "data").glob("nanobot.sqlite3*")) == ["nanobot.sqlite3"]


def test_a_key_found_in_the_environment_chooses_the_model_and_is_named_not_shown(nanobot: Command) -> None:
    process = nanobot.start(
        "--port", "0", OPENAI_API_KEY="sk-canary", OPENAI_BASE_URL="http://127.0.0.1:9/v1"
    )
    with serving(process) as lines:
        assert "openai:gpt-6-luna (found OPENAI_API_KEY in the environment)" in lines[2]
        assert "canary" not in "\n".join(lines)


def test_a_taken_port_is_told_with_the_way_out(nanobot: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert nanobot.refused("--model", "echo", "--port", str(port)) == (
            f"port {port} on 127.0.0.1 is taken: stop what uses it, or choose another with --port"
        )


def test_a_port_is_had_by_one_only_even_before_it_is_listened_on() -> None:
    first = bind("127.0.0.1", 0)
    with first, pytest.raises(ConfigError, match="is taken"):
        bind("127.0.0.1", first.getsockname()[1]).close()


def test_an_address_that_this_machine_does_not_have_is_told(nanobot: Command) -> None:
    told = nanobot.refused("--model", "echo", "--host", "192.0.2.1", NANOBOT_API_KEY="k")
    assert "192.0.2.1" in told
    assert "--host" in told


@pytest.mark.parametrize("host", ["..", "a" * 70, "no.such.host.invalid"])
def test_a_host_that_is_no_host_is_told(host: str) -> None:
    with pytest.raises(ConfigError) as caught:
        bind(host, 0)
    assert host in caught.value.message
    assert "--host" in caught.value.message


def test_a_locked_data_directory_is_told_with_who_has_it(nanobot: Command, tmp_path: Path) -> None:
    data = tmp_path / "data"
    process = nanobot.start("--model", "echo", "--port", "0", "--data", str(data))
    with serving(process):
        told = nanobot.refused("--model", "echo", "--port", "0", "--data", str(data))
        assert told == (
            f"{data} is in use by another nanobot (process {process.pid}):"
            " stop it, or name another directory with --data"
        )


def test_a_data_directory_that_cannot_be_is_told(nanobot: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for data in (tmp_path / "file", tmp_path / "file" / "below"):
        told = nanobot.refused("--model", "echo", "--port", "0", "--data", str(data))
        assert told == (f"{tmp_path / 'file'} is a file, and no data directory: name a directory with --data")


@pytest.mark.parametrize("text", ["", "# port = 8900\n", "[server]\n[api]\n"])
def test_a_config_file_without_a_setting_is_told(nanobot: Command, tmp_path: Path, text: str) -> None:
    (tmp_path / "nanobot.toml").write_text(text)
    process = nanobot.start("--model", "echo", "--port", "0", "--data", str(tmp_path / "data"))
    with serving(process):
        assert process.stderr is not None
        assert process.stderr.readline() == "note: nanobot.toml has no settings\n"


@pytest.mark.parametrize(
    ("variables", "names"),
    [
        ({"NANOBOT_LOG_LEVEL": "loud"}, ["NANOBOT_LOG_LEVEL", "loud", "warning"]),
        ({"NANOBOT_MODEL": "nobody:x"}, ["'nobody'", "ollama"]),
    ],
)
def test_a_bad_variable_is_told(nanobot: Command, variables: dict[str, str], names: list[str]) -> None:
    told = nanobot.refused(**variables)
    assert all(name in told for name in names)


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--port", "99999"], ["--port", "99999", "65535"]),
        (["--timeout", "soon"], ["soon", "float"]),
        (["--model", "nobody:x"], ["'nobody:x'", "openai", "local"]),
        (["--model", "ollama"], ["ollama:MODEL"]),
        (["--config", "none.toml"], ["none.toml", "no such file"]),
    ],
)
def test_a_bad_option_is_told(nanobot: Command, arguments: list[str], names: list[str]) -> None:
    told = nanobot.refused(*arguments)
    assert all(name in told for name in names)


def test_a_bad_file_is_told_with_its_name(nanobot: Command, tmp_path: Path) -> None:
    (tmp_path / "nanobot.toml").write_text("[server]\nprot = 1\n")
    told = nanobot.refused()
    assert "nanobot.toml" in told
    assert "prot" in told


def test_a_missing_key_is_told_with_the_variable_that_would_hold_it(nanobot: Command) -> None:
    told = nanobot.refused("--model", "groq:x")
    assert told == "model groq:x: no key for groq; set GROQ_API_KEY, or model.api_key in the config file"


def test_a_preset_without_a_model_is_told(nanobot: Command, tmp_path: Path) -> None:
    (tmp_path / "nanobot.toml").write_text("[models.fast]\nmax_retries = 1\n")
    assert "[models.fast]" in nanobot.refused("--model", "echo", "--port", "0")


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "::", "192.168.1.5", "example.com", "", "127.0.0.1.example.com", "localhost.example.com"],
)
def test_a_host_that_others_can_reach_needs_a_key(host: str) -> None:
    with pytest.raises(ConfigError):
        refuse_unprotected_host(load(None, {}, {"server": {"host": host}}))
    refuse_unprotected_host(load(None, {"NANOBOT_API_KEY": "k"}, {"server": {"host": host}}))


def test_an_open_door_without_a_key_is_refused_with_how_to_make_one(nanobot: Command) -> None:
    told = nanobot.refused("--model", "echo", "--port", "0", "--host", "0.0.0.0")
    assert "0.0.0.0" in told
    assert "NANOBOT_API_KEY" in told
    assert "`nanobot keys create NAME`" in told
    assert "listen on 127.0.0.1" in told
    elsewhere = nanobot.refused("--model", "echo", "--port", "0", "--host", "0.0.0.0", "--data", "elsewhere")
    assert "`nanobot keys create NAME --data elsewhere`" in elsewhere


@pytest.mark.parametrize(
    "key",
    [
        "k",
        "sesame",
        "changeme",
        "change-me-please-now",
        "password12345678",
        "0123456789abcdef",
        "a" * 40,
        "my-secret-api-key-123",
        "sk-your-api-key-here",
        "nanobot-secret-token",
        "correct horse battery staple",
    ],
)
def test_a_key_that_can_be_guessed_is_refused_where_others_can_try(key: str) -> None:
    with pytest.raises(
        ConfigError, match=r"openssl rand -hex 32.*nanobot keys create NAME.*127\.0\.0\.1"
    ) as told:
        refuse_weak_key(load(None, {"NANOBOT_API_KEY": key}, {"server": {"host": "0.0.0.0"}}))
    assert len(key) < 6 or key not in told.value.message
    refuse_weak_key(load(None, {"NANOBOT_API_KEY": key}, {}))


def test_a_random_key_is_good_enough_in_any_form() -> None:
    randomness = random.Random(0)
    for _ in range(300):
        bits = randomness.randbytes(16)
        for key in (bits.hex(), base64.urlsafe_b64encode(bits).decode(), str(uuid.UUID(bytes=bits))):
            refuse_weak_key(load(None, {"NANOBOT_API_KEY": key}, {"server": {"host": "::"}}))


def test_a_weak_key_stops_a_start_and_the_line_names_its_place(nanobot: Command, tmp_path: Path) -> None:
    (tmp_path / "nanobot.toml").write_text('[api]\nkey = "sesame"\n')
    told = nanobot.refused("--model", "echo", "--port", "0", "--host", "0.0.0.0")
    assert told.startswith(
        "nanobot.toml:2: host 0.0.0.0 can be reached from other machines, and api.key has 6"
    )
    assert "sesame" not in told


def test_a_host_of_this_machine_needs_no_key(nanobot: Command) -> None:
    for host in ("localhost", "127.0.0.1", "127.0.0.2", "::1"):
        refuse_unprotected_host(load(None, {}, {"server": {"host": host}}))
    with serving(nanobot.start("--model", "echo", "--port", "0", "--host", "localhost")) as lines:
        assert "http://127." in lines[1]


def test_an_unknown_option_is_told_by_its_name_with_status_2(nanobot: Command) -> None:
    process = nanobot.start("--prot", "1")
    _, err = process.communicate(timeout=BOUND_S)
    assert process.returncode == 2
    assert "--prot" in err


MOST_MODULES, MOST_OF_OURS = 754, 470
"""How many a start loads: each one more costs it a tenth of a millisecond at least."""
NOT_AT_START = (
    *("aiohttp", "difflib", "fractions", "html", "opentelemetry", "statistics", "tomllib", "yaml", "zipfile"),
    *("zoneinfo", "nanobot.http.openapi", "nanobot.models.anthropic.", "nanobot.models.gemini."),
    *("nanobot.models.local.", "nanobot.models.ollama", "nanobot.models.openai_responses."),
    *("nanobot.reading.text_buffer", "nanobot.telemetry.spans", "nanobot.tools.web.search"),
)
"""What only documents, traces, searches, mistakes, settings in a file or some of the models need."""


@pytest.mark.parametrize("model", ["echo", "openai:m"])
def test_a_start_loads_nothing_that_only_few_servers_need(
    nanobot: Command, tmp_path: Path, model: str
) -> None:
    told = tmp_path / "loaded"
    with told.open("w") as nanobot.stderr:
        process = nanobot.start(
            "--model", model, "--port", "0", OPENAI_API_KEY="key", PYTHONPROFILEIMPORTTIME="1"
        )
    with serving(process):
        loaded = {line.rpartition("|")[2].strip() for line in told.read_text().splitlines()}
    assert "nanobot.telemetry.metrics" in loaded
    assert not [name for name in loaded if name.startswith(NOT_AT_START)]
    if model == "echo":
        # What another model loads, it goes on to load once the server listens.
        ours = [name for name in loaded if name.partition(".")[0] == "nanobot"]
        assert len(ours) <= MOST_OF_OURS, len(ours)
        assert len(loaded) <= MOST_MODULES, len(loaded)


def test_loading_the_server_compiles_hardly_any_pattern_of_ours() -> None:
    """They are compiled when they are first used (`LatePattern`): together they took a tenth of a start. One
    is of the keys whose form nobody has set, and one is msgspec's, of a setting.
    """
    code = (
        "import re, sys\n"
        "by, compiled = [], re.compile\n"
        "def noted(pattern, flags=0):\n"
        "    by.append(sys._getframe(1).f_globals['__name__'])\n"
        "    return compiled(pattern, flags)\n"
        "re.compile = noted\n"
        "import nanobot.cli.main, nanobot.cli.serve\n"
        "print(*by)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    by = done.stdout.split()
    assert "platform" in by or "configparser" in by
    assert len([name for name in by if name.startswith("nanobot")]) <= 2, by


# HTTPS and keys -----------------------------------------------------------------------------------


def test_with_a_certificate_https_is_served(nanobot: Command, tmp_path: Path) -> None:
    cert, key = certificate(tmp_path, "localhost")
    process = nanobot.start("--model", "echo", "--port", "0", "--tls-cert", str(cert), "--tls-key", str(key))
    with serving(process) as lines:
        url = lines[1].split()[-1].replace("127.0.0.1", "localhost")
        assert url.startswith("https://localhost:")
        trusting = ssl.create_default_context(cafile=str(cert))
        with urllib.request.urlopen(f"{url}/health", timeout=BOUND_S, context=trusting) as response:
            assert response.read() == b'{"status":"ok"}'


def test_a_certificate_that_cannot_be_served_is_told_with_its_file(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path, "localhost")
    (tmp_path / "other").mkdir()
    _, other = certificate(tmp_path / "other", "localhost")
    text = tmp_path / "text.pem"
    text.write_text("hello")
    for options, needles in (
        ({"tls_cert": str(cert), "tls_key": str(other)}, (str(cert), str(other), "belong together")),
        ({"tls_cert": str(tmp_path / "gone"), "tls_key": str(key)}, ("gone", "--tls-cert")),
        ({"tls_cert": str(cert), "tls_key": str(tmp_path / "gone")}, ("gone", "--tls-key")),
        ({"tls_key": str(key)}, ("--tls-cert",)),
        ({"tls_cert": str(text), "tls_key": str(key)}, ("text.pem", "PEM")),
        ({"tls_cert": str(cert)}, (str(cert), "PEM")),
    ):
        with pytest.raises(ConfigError) as told:
            check_tls(load(None, {}, {"server": options}))
        assert all(needle in str(told.value) for needle in needles), (options, str(told.value))


def test_a_stored_key_or_one_of_the_settings_opens_the_door_to_other_machines(tmp_path: Path) -> None:
    open_to_all = load(None, {}, {"server": {"host": "0.0.0.0", "data": str(tmp_path / "data")}})
    for revoked, expires in ((False, None), (True, None), (False, 1.0)):
        with writing(tmp_path / "data") as db:
            db.execute("DELETE FROM api_key")
            keys.insert(db, ApiKey(id="key_1", name="ann", digest=b"1", rights=("chat",), expires_at=expires))
            if revoked:
                keys.revoke(db, "ann", 1.0)
        if revoked or expires:
            with pytest.raises(ConfigError, match="nanobot keys create"):
                refuse_unprotected_host(open_to_all)
        else:
            refuse_unprotected_host(open_to_all)


def test_the_address_that_a_trusted_proxy_names_is_the_clients(nanobot: Command, tmp_path: Path) -> None:
    def tries(url: str, address: str) -> list[int]:
        found = []
        for _ in range(2):
            asked = urllib.request.Request(
                f"{url}/v1/models", headers={"authorization": "Bearer wrong", "x-forwarded-for": address}
            )
            with pytest.raises(urllib.error.HTTPError) as told:
                urllib.request.urlopen(asked, timeout=BOUND_S)
            found.append(told.value.code)
            told.value.close()
        return found

    for trusted, second in (
        ({"NANOBOT_SERVER_FORWARDED_ALLOW_IPS": "127.0.0.0/8"}, [401, 429]),
        ({}, [429, 429]),
    ):
        process = nanobot.start(
            "--model", "echo", "--port", "0", NANOBOT_API_KEY="k", NANOBOT_API_MAX_BAD_KEYS="1", **trusted
        )
        with serving(process) as lines:
            url = lines[1].split()[-1]
            assert tries(url, "203.0.113.1") == [401, 429]
            assert tries(url, "203.0.113.2") == second
