"""What a plugin says of itself (`plugin.json`), and of its MCP servers (`mcp.json`)."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from nanobot.core.errors import SkillError

PLUGIN_FILE, MCP_FILE = "plugin.json", "mcp.json"
_SCHEMAS = "https://agent-plugins.org/schemas/1.0.0/"
PLUGIN_SCHEMA, MCP_SCHEMA = f"{_SCHEMAS}plugin.schema.json", f"{_SCHEMAS}mcp.schema.json"
_NAME = re.compile(r"(?!.*(?:--|\.\.))[a-z0-9](?:[a-z0-9.-]{0,62}[a-z0-9])?")
_MOST_BYTES = 1024 * 1024
_ROOT, _DATA = "PLUGIN_ROOT", "PLUGIN_DATA"
_PLACEHOLDER = re.compile(r"\$\{PLUGIN_(?:ROOT|DATA)\}")
Text = Annotated[str, msgspec.Meta(min_length=1)]


class _PluginAuthor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str | None = None
    email: str | None = None
    url: str | None = None


class PluginManifest(msgspec.Struct, frozen=True):
    """A `plugin.json`. `unknown`: fields that the format does not have."""

    schema: str = msgspec.field(name="$schema")
    name: Text
    version: str = ""
    description: str = ""
    author: _PluginAuthor = _PluginAuthor()
    homepage: str = ""
    repository: str = ""
    license: str = ""
    keywords: tuple[str, ...] = ()
    extensions: Any = None
    unknown: tuple[str, ...] = ()


class PluginServer(msgspec.Struct, frozen=True):
    """An MCP server of a plugin, as other clients have it in `mcpServers`. `problem`: why it cannot be
    used.
    """

    entry: Mapping[str, Any] = {}
    problem: str = ""


class _Stdio(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="stdio", tag_field="type"):
    command: Text
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    cwd: str = "${PLUGIN_ROOT}"


class _Http(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="streamable-http", tag_field="type"):
    url: Text
    headers: dict[str, str] = {}


class _McpFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: str = msgspec.field(name="$schema")
    servers: dict[str, Any] = msgspec.field(name="mcpServers")


def read_manifest(content: bytes) -> PluginManifest:
    """Return what a `plugin.json` says.

    Raises:
        SkillError: it is none of Agent Plugins 1.0.
    """
    fields = _decoded(content, PLUGIN_FILE)
    known = {field.encode_name for field in msgspec.structs.fields(PluginManifest)} - {"unknown"}
    try:
        manifest = msgspec.convert({name: fields[name] for name in fields if name in known}, PluginManifest)
    except msgspec.ValidationError as error:
        raise SkillError(f"{PLUGIN_FILE}: {error}") from None
    if manifest.schema != PLUGIN_SCHEMA:
        raise SkillError(
            f"{PLUGIN_FILE}: $schema is {manifest.schema[:200]!r}: only {PLUGIN_SCHEMA} is supported"
        )
    if not _NAME.fullmatch(manifest.name):
        raise SkillError(
            f"{PLUGIN_FILE}: name {manifest.name[:80]!r}: at most 64 lower-case letters, digits, and single"
            " hyphens and periods between them are allowed"
        )
    return msgspec.structs.replace(manifest, unknown=tuple(sorted(fields.keys() - known)))


def read_servers(content: bytes, root: str, data: str) -> dict[str, PluginServer]:
    """Return the servers of an `mcp.json`, as they are started where the plugin is in `root` and has its data
    in `data`.

    Raises:
        SkillError: it is none of Agent Plugins 1.0.
    """
    try:
        file = msgspec.convert(_decoded(content, MCP_FILE), _McpFile)
    except msgspec.ValidationError as error:
        raise SkillError(f"{MCP_FILE}: {error}") from None
    if file.schema != MCP_SCHEMA:
        raise SkillError(f"{MCP_FILE}: $schema is {file.schema[:200]!r}: only {MCP_SCHEMA} is supported")
    return {name: _server(given, {_ROOT: root, _DATA: data}) for name, given in file.servers.items()}


def _decoded(content: bytes, name: str) -> dict[str, Any]:
    if len(content) > _MOST_BYTES:
        raise SkillError(f"{name} has {len(content)} bytes: at most {_MOST_BYTES} are read")
    try:
        return msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SkillError(f"{name} is no JSON object: {error}") from None


def _server(given: Any, places: Mapping[str, str]) -> PluginServer:
    if isinstance(given, dict) and given.get("type") == "sse":
        return PluginServer(problem="its transport sse is not supported")
    try:
        server = msgspec.convert(given, _Stdio | _Http)
    except msgspec.ValidationError as error:
        return PluginServer(problem=str(error))
    if isinstance(server, _Http):
        texts = (server.url, *server.headers, *server.headers.values())
        problem = _variable_in(texts)
        if any(_PLACEHOLDER.search(text) for text in texts):
            problem = f"{_ROOT} and {_DATA} stand for folders, which a server behind a URL has not"
        return PluginServer({"type": "http", "url": server.url, "headers": server.headers}, problem)
    return _stdio(server, places)


def _stdio(server: _Stdio, places: Mapping[str, str]) -> PluginServer:
    def filled(text: str) -> str:
        # Once: what is filled in is not looked at again.
        return _PLACEHOLDER.sub(lambda found: places[found[0][2:-1]], text)

    if places.keys() & server.env.keys():
        return PluginServer(problem=f"env may not set {_ROOT} or {_DATA}")
    if odd := next((name for name in server.env if _PLACEHOLDER.search(name)), None):
        return PluginServer(problem=f"env {odd[:80]!r}: {_ROOT} and {_DATA} may stand in values only")
    command, cwd = server.command, server.cwd
    if _PLACEHOLDER.search(command):
        problem = f"command {command[:80]!r} has {_ROOT} or {_DATA} in it: begin it with ./"
        return PluginServer(problem=problem)
    if command.startswith("./"):
        command = f"{places[_ROOT]}/{command[2:]}"
    elif "/" in command or "\\" in command:
        return PluginServer(problem=f"command {command[:80]!r} is neither a name nor begins with ./")
    if cwd.startswith("./"):
        cwd = f"${{{_ROOT}}}/{cwd[2:]}"
    if re.match(r"\$\{PLUGIN_(ROOT|DATA)\}(/|$)", cwd) is None:
        return PluginServer(problem=f"cwd {cwd[:80]!r} is not in the plugin")
    for path in (server.command, cwd):
        if ".." in re.split(r"[/\\]", path):
            return PluginServer(problem=f"{path[:80]!r} leads out of the plugin")
    entry = {
        "command": command,
        "args": [filled(each) for each in server.args],
        "env": {**{name: filled(value) for name, value in server.env.items()}, **places},
        "cwd": filled(cwd),
    }
    texts = (server.command, cwd, *server.args, *server.env, *server.env.values())
    return PluginServer(entry, _variable_in(texts))


def _variable_in(texts: tuple[str, ...]) -> str:
    """Return why a server cannot be used that has a variable in one of the texts; empty where none has one.

    The format has them stand for themselves; here one would be filled in from the environment, secrets
    included.
    """
    for text in texts:
        if "${" in _PLACEHOLDER.sub("", text):
            return f"{text[:80]!r} has a variable in it, and plugins may not read the server's environment"
    return ""
