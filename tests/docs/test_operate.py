"""docs/operate.md: its configurations are run with the real programs, and so is the restore drill.

Where nginx, Caddy or systemd are not installed, their tests are skipped and say so.
"""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tomllib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.certificate import certificate
from tests.ports import free_port
from tests.upstream import Gate, Upstream, streamed, text

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")
BOUND_S = 30.0
pytestmark = pytest.mark.timeout(300)


def blocks(kind: str) -> list[str]:
    """Return the page's code of a kind, in order."""
    return [
        code
        for found, code in re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
        if found == kind
    ]


def program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed: its configuration in docs/operate.md is not tested")
    return found


def environment(directory: Path, **variables: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(directory), "PYTHONPATH": str(ROOT), **variables}


@contextlib.contextmanager
def serving(directory: Path, upstream: str) -> Iterator[int]:
    """Yield the port of a server with the settings of the page, whose model is behind `upstream`."""
    (directory / "nanobot.toml").write_text(blocks("toml")[0])
    process = subprocess.Popen(
        [sys.executable, "-m", "nanobot", "serve", "--port", "0", "--data", "data"],
        cwd=directory,
        env=environment(directory, OPENAI_API_KEY="sk-x", OPENAI_BASE_URL=upstream),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield next(
            int(found[1]) for line in process.stdout if (found := re.search(r"listens on .*:(\d+)$", line))
        )
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=BOUND_S)


def nginx(directory: Path, server_port: int, port: int, *, on_a_path: bool) -> list[str]:
    whole, sub_path = blocks("nginx")
    cert, key = certificate(directory, "nanobot.example")
    if on_a_path:
        lines = re.search(r"proxy_http_version.*?(?=^    \})", whole, re.MULTILINE | re.DOTALL)
        assert lines is not None
        location = sub_path.replace("# the other lines as above", lines[0])
        whole = re.sub(
            r"    location / \{.*?^    \}\n", lambda _: location, whole, flags=re.MULTILINE | re.DOTALL
        )
    whole = (
        whole.replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
        .replace("127.0.0.1:8900", f"127.0.0.1:{server_port}")
        .replace("/etc/ssl/nanobot.pem", str(cert))
        .replace("/etc/ssl/private/nanobot.key", str(key))
    )
    paths = "".join(
        f"{name}_temp_path {directory}/{name};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # Its workers have to reach the test's directory.
    user = "user root; " if os.geteuid() == 0 else ""
    file = directory / "nginx.conf"
    file.write_text(
        f"{user}daemon off; worker_processes 1; pid {directory}/nginx.pid; error_log {directory}/error.log;\n"
        f"events {{}}\nhttp {{ access_log off; {paths}\n{whole}\n}}\n"
    )
    return [program("nginx"), "-p", str(directory), "-e", str(directory / "error.log"), "-c", str(file)]


def caddy(directory: Path, server_port: int, port: int, *, on_a_path: bool) -> list[str]:
    cert, key = certificate(directory, "nanobot.example")
    site = blocks("caddy")[1 if on_a_path else 0]
    # A certificate of the test's own, where Caddy would get one from Let's Encrypt.
    site = site.replace("nanobot.example {", f"https://nanobot.example:{port} {{\n    tls {cert} {key}")
    site = site.replace("127.0.0.1:8900", f"127.0.0.1:{server_port}")
    file = directory / "Caddyfile"
    file.write_text(f"{{\n    admin off\n    auto_https disable_redirects\n}}\n{site}")
    return [program("caddy"), "run", "--config", str(file), "--adapter", "caddyfile"]


@contextlib.asynccontextmanager
async def proxied(
    kind: str, directory: Path, server_port: int, *, on_a_path: bool
) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    """Yield a client and the base URL of the server behind the proxy."""
    port = free_port()
    commands = {"nginx": nginx, "caddy": caddy}
    command = commands[kind](directory, server_port, port, on_a_path=on_a_path)
    context = ssl.create_default_context(cafile=str(directory / "nanobot.example.pem"))
    process = await asyncio.create_subprocess_exec(
        *command,
        env=environment(directory, XDG_DATA_HOME=str(directory / "xdg")),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    resolver = {"nanobot.example": "127.0.0.1"}
    try:
        async with aiohttp.ClientSession(connector=_Local(resolver, context)) as http:
            base = f"https://nanobot.example:{port}{'/bot' if on_a_path else ''}"
            async with asyncio.timeout(BOUND_S):
                while True:
                    assert process.returncode is None, f"{kind} does not take the configuration of the page"
                    with contextlib.suppress(aiohttp.ClientConnectorError):
                        async with http.get(f"{base}/health"):
                            break
                    await asyncio.sleep(0.05)
            yield http, base
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def slowly() -> AsyncIterator[bytes]:
    """Yield a body that never ends, in pieces between which the answer can be read.

    Who sends as fast as it can may find the connection reset before it has read the refusal; who sends
    nothing is not answered by Caddy, which waits for the next piece.
    """
    while True:
        yield b" " * 1_000
        await asyncio.sleep(0.02)


class _Local(aiohttp.TCPConnector):
    """Connects to this machine, whatever the name."""

    def __init__(self, names: dict[str, str], context: ssl.SSLContext) -> None:
        super().__init__(ssl=context, resolver=_Names(names))


class _Names(aiohttp.abc.AbstractResolver):
    def __init__(self, names: dict[str, str]) -> None:
        self._names = names

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[aiohttp.abc.ResolveResult]:
        return [
            aiohttp.abc.ResolveResult(
                hostname=host, host=self._names[host], port=port, family=socket.AF_INET, proto=0, flags=0
            )
        ]

    async def close(self) -> None: ...


@pytest.mark.parametrize("on_a_path", [False, True], ids=["whole host", "sub-path"])
@pytest.mark.parametrize("kind", ["nginx", "caddy"])
async def test_behind_the_proxy_a_stream_arrives_word_by_word_and_the_client_is_known(
    kind: str, on_a_path: bool, tmp_path: Path
) -> None:
    program(kind)
    gate = Gate()
    async with Upstream() as upstream:
        upstream.then(streamed(text("first "), gate, text("second")))
        with serving(tmp_path, upstream.url) as server_port:
            async with proxied(kind, tmp_path, server_port, on_a_path=on_a_path) as (http, base):
                body = {"model": "nanobot", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
                async with http.post(
                    f"{base}/v1/chat/completions",
                    json=body,
                    headers={"x-session-key": "a", "x-forwarded-for": "203.0.113.9"},
                ) as answer:
                    assert answer.status == 200
                    received = ""
                    # The model says no more before the first word is here.
                    while "first" not in received:
                        received += (await answer.content.readany()).decode()
                    gate.open()
                    received += (await answer.content.read()).decode()
                    assert "second" in received and received.rstrip().endswith("data: [DONE]")
                for address in (f"{base}/docs", base):
                    async with http.get(address, headers={"accept": "text/html"}) as page:
                        assert page.status == 200 and "<title>" in await page.text(), address
                async with http.post(
                    f"{base}/v1/chat/completions",
                    data=slowly(),
                    headers={
                        "x-session-key": "a",
                        "content-type": "application/json",
                        "content-length": "21000000",
                    },
                ) as refused:
                    assert refused.status in {"nginx": (413,), "caddy": (413, 502)}[kind]
    audit = (tmp_path / "data" / "audit.jsonl").read_text()
    # What the client claims of its address is not believed.
    assert '"client":"127.0.0.1"' in audit and "203.0.113.9" not in audit


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    unit = blocks("ini")[0]
    assert "ExecStart=/opt/nanobot/bin/nanobot serve\n" in unit
    file = tmp_path / "nanobot.service"
    # Of a real program, and a user that is there: both are looked up.
    file.write_text(
        unit.replace("/opt/nanobot/bin/nanobot", sys.executable).replace("User=nanobot", "User=root")
    )
    done = subprocess.run(
        [program("systemd-analyze"), "verify", "--man=no", str(file)], capture_output=True, text=True
    )
    assert done.returncode == 0 and "nanobot.service" not in done.stderr, done.stderr


def test_the_commands_of_the_unit_s_user_are_called_where_it_may_look_for_settings() -> None:
    """In root's home, where they would be typed, `sudo -u` fails: that user may not enter it."""
    (code,) = (code for code in blocks("sh") if "sudo -u" in code)
    before, _, _ = code.partition("sudo -u")
    assert before.rstrip().endswith("cd /var/lib/nanobot")


def test_a_backup_has_all_that_the_table_says_is_worth_keeping() -> None:
    from nanobot.cli.backup import FILES, FOLDERS
    from nanobot.stores.sqlite.opening import DATABASE

    rows = re.findall(r"^\| (`.*?) \| .*? \| (yes[^|]*) \|", PAGE, re.MULTILINE)
    named = {name for row, _ in rows for name in re.findall(r"`([^`]+)`", row)}
    assert named == {DATABASE, *(f"{name}/" for name in FOLDERS), *FILES} - {"nanobot.toml"}


def test_the_settings_of_the_unit_and_of_the_image_exist() -> None:
    from nanobot.config import load

    named = set(re.findall(r"NANOBOT_\w+", blocks("ini")[0] + (ROOT / "Containerfile").read_text()))
    assert {"NANOBOT_DATA", "NANOBOT_LOG_FORMAT", "NANOBOT_SERVER_HOST"} <= named
    values = {"NANOBOT_LOG_FORMAT": "json"}
    load(None, {name: values.get(name, "/x") for name in named}, {})
    for code in blocks("toml"):
        tomllib.loads(code)


@pytest.mark.parametrize("where", ["docs/operate.md", "Containerfile"])
def test_the_unit_and_the_image_keep_weights_with_the_other_data(where: str) -> None:
    """Else a new container, or one who looks into the directory, does not find them."""
    from nanobot.config import load

    text = blocks("ini")[0] if where.endswith(".md") else (ROOT / where).read_text()
    config = load(None, dict(re.findall(r"(NANOBOT_\w+)=(\S+)", text)), {})
    assert config.models_dir == config.data / "models"


def test_all_that_a_data_directory_may_have_in_it_is_in_the_table() -> None:
    from nanobot.stores import audit_log, blobs, secret
    from nanobot.stores.sqlite import opening
    from nanobot.stores.workspaces import folder, leftovers
    from nanobot.telemetry import logs
    from nanobot.tools.mcp import remembered
    from nanobot.tools.plugins import installed

    folders = {blobs.FOLDER, folder.FOLDER, installed.FOLDER, leftovers.COMMANDS, "skills", "models"}
    files = {opening.DATABASE, opening.LOCK, audit_log.FILE, secret.FILE_NAME, logs.SALT_FILE}
    files |= {remembered.FILE, "chat_history", "local-model.log"}
    rows = "\n".join(re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE))
    assert {name for name in files if f"`{name}`" not in rows} == set()
    assert {name for name in folders if f"`{name}/`" not in rows} == set()


def shell(code: str, directory: Path, **variables: str) -> str:
    script = f'set -e\nnanobot() {{ "{sys.executable}" -m nanobot "$@"; }}\n{code}'
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=directory,
        env=environment(directory, **variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=4 * BOUND_S,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_backup_beside_a_running_server_is_restored_with_uploads_and_keys(tmp_path: Path) -> None:
    """The commands of the page, with other directories."""
    (backup,) = (code for code in blocks("sh") if "nanobot backup" in code)
    (drill,) = (code for code in blocks("sh") if "$DRILL" in code)
    data = tmp_path / "data"
    serve = ["serve", "--model", "echo", "--port", "0", "--data", str(data)]

    def start(*arguments: str) -> tuple["subprocess.Popen[str]", str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "nanobot", *arguments],
            cwd=tmp_path,
            env=environment(tmp_path),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        return process, next(
            found[1] for line in process.stdout if (found := re.search(r"listens on +(\S+)", line))
        )

    def stop(process: "subprocess.Popen[str]") -> None:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=BOUND_S)

    key = shell(f"nanobot keys create phone --data '{data}'", tmp_path)
    if sys.platform != "win32":
        (tmp_path / "offers").mkdir()
        (tmp_path / "offers" / "SKILL.md").write_text(
            "---\nname: offers\ndescription: Offers.\n---\nWrite.\n"
        )
        shell(f"nanobot skills add offers --data '{data}'", tmp_path)
    token = re.search(r"nb-\S+", key)
    assert token is not None
    curl = f"curl -sS -H 'Authorization: Bearer {token[0]}' -H 'x-session-key: a'"
    process, url = start(*serve)
    try:
        (tmp_path / "note.txt").write_text("the launch code is kumquat")
        uploaded = shell(f"{curl} {url}/v1/files -F purpose=user_data -F file=@note.txt", tmp_path)
        file_id = re.search(r'"id":"([^"]+)"', uploaded)
        assert file_id is not None, uploaded
        shell(f"{curl} {url}/v1/chat/completions -F model=nanobot -F message=hello", tmp_path)
        code = backup.replace("/var/lib/nanobot", str(data)).replace(
            "/var/backups/nanobot", str(tmp_path / "kept")
        )
        shell(code, tmp_path)
    finally:
        stop(process)
    drill = drill.replace("/var/backups/nanobot", str(tmp_path / "kept"))
    said = shell(drill.replace("/var/tmp/nanobot-drill", str(tmp_path / "drill")), tmp_path)
    assert "1 conversations" in said and "\na " in said and "You said: Is anybody there?" in said
    assert "fail" not in said and not (tmp_path / "drill").exists()
    data.rename(tmp_path / "aside")
    (copy,) = (tmp_path / "kept").iterdir()
    copy.rename(data)
    process, url = start(*serve)
    try:
        assert "kumquat" in shell(f"{curl} {url}/v1/files/{file_id[1]}/content", tmp_path)
        assert "You said: hello" in shell(f"{curl} {url}/v1/sessions/a/messages", tmp_path)
        if sys.platform != "win32":
            assert "offers\n  Offers." in shell(f"nanobot skills list --data '{data}'", tmp_path)
    finally:
        stop(process)
