"""A person logs in at an MCP server, and the agent calls its tools with the token that this brings."""

import asyncio
import contextlib
import json
import re
import sys
import urllib.error
import urllib.request
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from nanobot.testing import ScriptedModel
from tests.asgi import BOUND_S
from tests.flow.mcp_tools import ASK, WIDE, ask, connected, results, servers, until
from tests.harness import OpenHarness
from tests.mcp_authority import Authority, serving

POLICY = [{"tools": {"@mcp__fake": "allow"}}]


@pytest.fixture
async def authority() -> AsyncIterator[Authority]:
    async with serving() as found:
        yield found


def at(authority: Authority, **more: Any) -> dict[str, Any]:
    return {"servers": {"fake": {"url": f"{authority.url}/mcp", "sessions": ["*"], **more}}}


def settings(tmp_path: Path, authority: Authority, **oauth: str) -> Path:
    """Write the settings of the command line, and return the file."""
    file = tmp_path / "nanobot.toml"
    lines = [f'server.data = "{tmp_path}"', "[mcp.servers.fake]", f'url = "{authority.url}/mcp"']
    if oauth:
        values = ", ".join(f"{name} = {json.dumps(each)}" for name, each in oauth.items())
        lines.append(f"oauth = {{ {values} }}")
    file.write_text("\n".join(lines))
    return file


async def command(file: Path, *arguments: str) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "nanobot", "mcp", *arguments, "--config", str(file),
        stdin=PIPE, stdout=PIPE, stderr=PIPE,
    )  # fmt: skip


async def browsed(process: Process, *, follow: bool = True) -> str:
    """Open the address that the process prints, as a browser does; return where that ends."""
    assert process.stdout is not None
    async with asyncio.timeout(120):
        while not (line := (await process.stdout.readline()).decode()).startswith("http"):
            assert line, await process.communicate()
    return await asyncio.to_thread(_open, line.strip(), follow)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Stay."""


def _open(address: str, follow: bool) -> str:
    if follow:
        with urllib.request.urlopen(address, timeout=60) as answer:
            return str(answer.read().decode())
    try:
        urllib.request.build_opener(_NoRedirect).open(address, timeout=60)
    except urllib.error.HTTPError as answer:
        return str(answer.headers["location"])
    raise AssertionError("it leads nowhere")


async def log_in(tmp_path: Path, authority: Authority) -> str:
    process = await command(settings(tmp_path, authority), "login", "fake")
    assert "Thank you" in await browsed(process)
    out, error = await process.communicate()
    assert process.returncode == 0, error
    return out.decode()


def stored(tmp_path: Path) -> dict[str, Any]:
    return dict(json.loads((tmp_path / "mcp-logins" / "fake.json").read_bytes()))


async def test_a_login_brings_a_token_that_is_used_renewed_and_shown_nowhere(
    open_harness: OpenHarness, authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    said = await log_in(tmp_path, authority)
    assert "logged in at fake: it allows notes" in said
    file = tmp_path / "mcp-logins" / "fake.json"
    assert file.stat().st_mode & 0o777 == 0o600 and file.parent.stat().st_mode & 0o777 == 0o700
    (client,) = authority.clients.values()
    assert client.client_name == "nanobot"
    before = stored(tmp_path)
    # A token that is refused before its time, as one that is over, is renewed.
    authority.tokens.clear()
    model = ScriptedModel(ask("echo", text="kumquat"), "Done.", ask("environment"), "Done.")
    harness = await connected(
        await open_harness(model, agent=WIDE, mcp=at(authority), policy=POLICY, data=tmp_path)
    )
    assert (await harness.door.chat("k", [ASK])).said == "Done."
    assert "kumquat" in results(model)[-1].content
    assert authority.renewed == 1
    after = stored(tmp_path)
    assert after["tokens"]["access_token"] != before["tokens"]["access_token"]
    # Without a refresh token that is good, only a person can go on.
    authority.tokens.clear()
    authority.refreshes.clear()
    assert (await harness.door.chat("k", [ASK])).said == "Done."
    result = results(model)[-1]
    assert result.is_error and "`nanobot mcp login fake`" in result.content
    assert "nothing was done" in result.content
    await until(lambda: "nanobot mcp login fake" in servers(harness).states["fake"].why)
    await harness.close()
    secret = [each["tokens"][name] for each in (before, after) for name in ("access_token", "refresh_token")]
    kept = b"".join(each.read_bytes() for each in tmp_path.iterdir() if each.is_file())
    shown = kept.decode("latin-1") + caplog.text + said + repr(model.requests)
    assert not [each for each in secret if each in shown]


def openers(file: Path) -> int:
    """Return how many processes have the file open."""
    links = [link for process in Path("/proc").glob("[0-9]*") for link in _links(process / "fd")]
    return links.count(str(file))


def _links(directory: Path) -> list[str]:
    try:
        return [str(link.readlink()) for link in directory.iterdir()]
    except OSError:
        # It has ended meanwhile.
        return []


@pytest.mark.skipif(sys.platform != "linux", reason="who waits for a lock is seen in /proc")
async def test_of_two_processes_that_find_a_token_over_one_renews_it(
    authority: Authority, tmp_path: Path
) -> None:
    await log_in(tmp_path, authority)
    file = tmp_path / "mcp-logins" / "fake.json"
    file.write_bytes(json.dumps({**stored(tmp_path), "expires_at": 1.0}).encode())
    authority.renews.clear()
    checks = [await command(tmp_path / "nanobot.toml", "check") for _ in range(2)]
    lock = file.with_name(".fake.json.lock")
    # On a machine that is busy with other things one of them may come much later: a renewal is bounded.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(BOUND_S):
            await until(lambda: authority.asked_to_renew == 2 or openers(lock) == 2)
    authority.renews.set()
    for check in checks:
        out, error = await check.communicate()
        assert check.returncode == 0, (out, error)
    assert authority.renewed == 1
    assert stored(tmp_path)["tokens"]["refresh_token"] in authority.refreshes


async def test_a_server_that_repeats_the_token_does_not_bring_it_into_the_transcript(
    open_harness: OpenHarness, authority: Authority, tmp_path: Path
) -> None:
    await log_in(tmp_path, authority)
    authority.repeats = True
    model = ScriptedModel(ask("echo", text="kumquat"), "Done.")
    harness = await connected(
        await open_harness(model, agent=WIDE, mcp=at(authority), policy=POLICY, data=tmp_path)
    )
    assert (await harness.door.chat("k", [ASK])).said == "Done."
    assert "You came with ***." in results(model)[-1].content


async def test_on_a_machine_without_a_browser_the_address_is_pasted(
    authority: Authority, tmp_path: Path
) -> None:
    file = settings(tmp_path, authority)
    process = await command(file, "login", "fake", "--paste")
    end = await browsed(process, follow=False)
    assert urlsplit(end).hostname == "127.0.0.1"
    out, error = await process.communicate(f"{end}\n".encode())
    assert process.returncode == 0 and b"logged in at fake" in out, error
    listed, _ = await (await command(file, "list")).communicate()
    assert b"logged in" in listed
    assert b"logged out of fake" in (await (await command(file, "logout", "fake")).communicate())[0]
    assert not (tmp_path / "mcp-logins" / "fake.json").exists()


async def test_a_login_that_is_refused_or_forged_brings_nothing(authority: Authority, tmp_path: Path) -> None:
    file = settings(tmp_path, authority)
    authority.refuses = True
    process = await command(file, "login", "fake")
    assert "refused" in await browsed(process)
    _, error = await process.communicate()
    assert process.returncode == 2 and b"access_denied" in error
    authority.refuses = False
    process = await command(file, "login", "fake", "--paste")
    end = await browsed(process, follow=False)
    forged = re.sub(r"state=[^&]+", "state=forged", end)
    _, error = await process.communicate(f"{forged}\n".encode())
    assert process.returncode == 2 and b"State parameter mismatch" in error
    assert not (tmp_path / "mcp-logins").exists()


async def test_a_server_that_leads_elsewhere_is_not_followed(authority: Authority, tmp_path: Path) -> None:
    authority.metadata_at = "http://169.254.169.254/latest/meta-data"
    process = await command(settings(tmp_path, authority), "login", "fake")
    _, error = await process.communicate()
    assert process.returncode == 2
    assert b"neither its own address nor a public one of https" in error


async def test_without_a_login_the_log_and_the_model_say_what_helps(
    open_harness: OpenHarness, authority: Authority, tmp_path: Path
) -> None:
    harness = await open_harness(agent=WIDE, mcp=at(authority), data=tmp_path)
    await until(lambda: bool(servers(harness).states["fake"].why))
    why = servers(harness).states["fake"].why
    assert why == "nobody has logged in: log in with `nanobot mcp login fake`"
    await log_in(tmp_path, authority)
    await connected(harness)
