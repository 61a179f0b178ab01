"""The agent's commands reach the hosts that the settings name, and what they reach is noted."""

import asyncio
import contextlib
import json
import shutil
import sys
from collections.abc import AsyncIterator

import msgspec
import pytest

from nanobot.core.errors import ConfigError
from nanobot.core.message import ToolResult
from nanobot.testing import Say, ScriptedModel, call
from tests.harness import OpenHarness

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is for Linux"),
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed"),
]
ASK = {"role": "user", "content": "Get it."}
UNASKED = [{"tools": {"@shell": "allow"}}]
GET = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=20).read().decode())"


def get(url: str) -> Say:
    return call("run_command", msgspec.json.encode({"command": f'python3 -c "{GET}" {url} 2>&1'}).decode())


def result(model: ScriptedModel) -> ToolResult:
    return model.requests[-1].messages[-1].tool_results[0]


@contextlib.asynccontextmanager
async def site() -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nkumquat")

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def test_a_command_reaches_a_host_that_is_named_and_the_audit_log_says_so(
    open_harness: OpenHarness,
) -> None:
    async with site() as port:
        model = ScriptedModel(get(f"http://127.0.0.1:{port}/"), "Done.", get("http://127.0.0.1:9/"), "Done.")
        place = f"127.0.0.1:{port}"
        harness = await open_harness(
            model,
            shell={"sessions": ["*"], "network": "allow", "allowed_hosts": [place, "*.example.org"]},
            web={"private_hosts": ["127.0.0.1"]},
            policy=UNASKED,
        )
        await harness.door.chat("k", [ASK])
        assert result(model).content.startswith("kumquat")
        (tool,) = [each for each in model.requests[0].tools if each.name == "run_command"]
        assert f"with http(s) to {place}, *.example.org only" in tool.description
        await harness.door.chat("k", [ASK])
        assert "403: 127.0.0.1:9 is not among what commands may reach" in result(model).content
    await harness.close()
    lines = [json.loads(line) for line in (harness.data / "audit.jsonl").read_text().splitlines()]
    made, refused = [line for line in lines if line["operation"] == "command connection"]
    assert made["session_key"] == refused["session_key"] == "k"
    assert made["connection"].pop("sent") > 50 and made["connection"].pop("received") > 7
    assert made["connection"] == {"host": "127.0.0.1", "port": port, "address": "127.0.0.1"}
    assert refused["connection"]["port"] == 9 and "shell.allowed_hosts" in refused["connection"]["refused"]


async def test_a_host_in_a_private_network_has_to_be_named_as_one(open_harness: OpenHarness) -> None:
    async with site() as port:
        model = ScriptedModel(get(f"http://127.0.0.1:{port}/"), "Done.")
        harness = await open_harness(
            model,
            shell={"sessions": ["*"], "network": "allow", "allowed_hosts": [f"127.0.0.1:{port}"]},
            policy=UNASKED,
        )
        await harness.door.chat("k", [ASK])
        assert "403: 127.0.0.1 is not on the public internet" in result(model).content


async def test_hosts_alone_give_no_network(open_harness: OpenHarness) -> None:
    async with site() as port:
        model = ScriptedModel(get(f"http://127.0.0.1:{port}/"), "Done.")
        harness = await open_harness(
            model,
            shell={"sessions": ["*"], "allowed_hosts": [f"127.0.0.1:{port}"]},
            web={"private_hosts": ["127.0.0.1"]},
            policy=UNASKED,
        )
        await harness.door.chat("k", [ASK])
        assert "kumquat" not in result(model).content
        (tool,) = [each for each in model.requests[0].tools if each.name == "run_command"]
        assert "without network" in tool.description


@pytest.mark.parametrize(
    ("shell", "text"),
    [
        ({"network": "allow"}, "name them in shell.allowed_hosts"),
        ({"network": "allow", "allowed_hosts": ["*"]}, "'\\*', which is no host"),
        ({"allowed_hosts": ["https://pypi.org"]}, "'https://pypi.org', which is no host"),
    ],
)
async def test_settings_of_the_network_that_make_no_sense_end_the_start(
    open_harness: OpenHarness, shell: dict[str, object], text: str
) -> None:
    with pytest.raises(ConfigError, match=text):
        await open_harness(shell={"sessions": ["*"], **shell})
