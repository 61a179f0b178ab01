"""What a plugin says of itself is held to Agent Plugins 1.0."""

from typing import Any

import msgspec
import pytest

from nanobot.core.errors import SkillError
from nanobot.tools.plugins.manifest import MCP_SCHEMA, PLUGIN_SCHEMA, read_manifest, read_servers

GOOD = {"$schema": PLUGIN_SCHEMA, "name": "acme.tools"}


def manifest(**fields: Any) -> bytes:
    return msgspec.json.encode({**GOOD, **fields})


def servers(schema: str = MCP_SCHEMA, **entries: Any) -> dict[str, Any]:
    content = msgspec.json.encode({"$schema": schema, "mcpServers": entries})
    return dict(read_servers(content, "/p", "/d"))


def test_what_it_says_is_read() -> None:
    read = read_manifest(
        manifest(version="1.2", author={"name": "A"}, keywords=["k"], extensions="ignored", hooks=[1])
    )
    assert (read.name, read.version, read.author.name, read.unknown) == ("acme.tools", "1.2", "A", ("hooks",))


@pytest.mark.parametrize("name", ["", "A", "-a", "a-", "a--b", "a..b", "a/b", "..", "a" * 65, "ä"])
def test_a_name_that_the_format_forbids_is_refused(name: str) -> None:
    with pytest.raises(SkillError):
        read_manifest(manifest(name=name))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"[" * 100_000,
        msgspec.json.encode({"name": "a"}),
        manifest(**{"$schema": "https://agent-plugins.org/schemas/2.0.0/plugin.schema.json"}),
        manifest(author={"twitter": "x"}),
        manifest(author="me"),
        manifest(keywords="k"),
        manifest(version=1),
        manifest(description="x" * 2_000_000),
    ],
)
def test_what_is_no_manifest_is_refused(content: bytes) -> None:
    with pytest.raises(SkillError):
        read_manifest(content)


def test_places_are_filled_in_once_and_nothing_of_the_environment() -> None:
    found = servers(
        here={
            "type": "stdio",
            "command": "./bin/run",
            "args": ["${PLUGIN_DATA}/x", "$HOME"],
            "env": {"A": "${PLUGIN_ROOT}"},
            "cwd": "./work",
        },
        plain={"type": "stdio", "command": "npx"},
        there={"type": "streamable-http", "url": "https://a.example/mcp", "headers": {"X-A": "b"}},
    )
    assert not any(server.problem for server in found.values())
    places = {"PLUGIN_ROOT": "/p", "PLUGIN_DATA": "/d"}
    assert found["here"].entry == {
        "command": "/p/bin/run",
        "args": ["/d/x", "$HOME"],
        "env": {"A": "/p", **places},
        "cwd": "/p/work",
    }
    assert found["plain"].entry == {"command": "npx", "args": [], "env": places, "cwd": "/p"}
    assert found["there"].entry == {"type": "http", "url": "https://a.example/mcp", "headers": {"X-A": "b"}}


@pytest.mark.parametrize(
    "entry",
    [
        {"type": "stdio"},
        {"type": "stdio", "command": "x", "url": "https://a"},
        {"type": "stdio", "command": "../x"},
        {"type": "stdio", "command": "/bin/sh"},
        {"type": "stdio", "command": "./../x"},
        {"type": "stdio", "command": "x", "cwd": "/"},
        {"type": "stdio", "command": "x", "cwd": "${PLUGIN_ROOT}/../.."},
        {"type": "stdio", "command": "x", "cwd": "${PLUGIN_ROOT}x"},
        {"type": "stdio", "command": "x", "env": {"PLUGIN_ROOT": "/"}},
        {"type": "stdio", "command": "x", "args": ["${OPENAI_API_KEY}"]},
        {"type": "stdio", "command": "x", "env": {"A": "${B:-c}"}},
        {"type": "stdio", "command": "x", "env": {"A${PLUGIN_DATA}": "b"}},
        {"type": "stdio", "command": "${SHELL}"},
        {"type": "streamable-http", "url": "https://a/${OPENAI_API_KEY}"},
        {"type": "streamable-http", "url": "https://a", "headers": {"A": "Bearer ${OPENAI_API_KEY}"}},
        {"type": "streamable-http", "url": "https://a", "headers": {"${A}": "b"}},
        {"type": "sse", "url": "https://a"},
        {"type": "other"},
        "text",
    ],
)
def test_a_server_that_cannot_be_used_says_why_and_others_stay(entry: Any) -> None:
    found = servers(bad=entry, good={"type": "stdio", "command": "npx"})
    assert found["bad"].problem and not found["good"].problem


def test_a_file_of_another_version_or_with_further_fields_is_refused() -> None:
    with pytest.raises(SkillError):
        servers(schema=MCP_SCHEMA.replace("1.0.0", "1.1.0"))
    with pytest.raises(SkillError):
        read_servers(msgspec.json.encode({"$schema": MCP_SCHEMA, "mcpServers": {}, "x": 1}), "/p", "/d")
