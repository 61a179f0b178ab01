"""`nanobot plugins` installs skills, leaves MCP servers off, and removes what it has installed."""

import json
import sys
import zipfile
from pathlib import Path

import pytest

from nanobot.tools.plugins.manifest import MCP_SCHEMA, PLUGIN_SCHEMA
from tests.unit.cli.commandline import Nanobot, Ran
from tests.unit.tools.skills.test_library import write

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no skills on Windows")
STDIO = {"type": "stdio", "command": "./bin/serve"}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return plugin(tmp_path / "from" / "acme")


def plugin(path: Path, name: str = "acme", **servers: object) -> Path:
    write(path / "skills", "offers", **{"fill.py": "print(1)"})
    write(path / "skills", "bills")
    write(path / "skills", "bad").joinpath("SKILL.md").write_text("no")
    (path / "skills" / "README.md").write_text("x")
    (path / "bin").mkdir()
    (path / "bin" / "serve").write_text("#!/bin/sh\n")
    (path / "bin" / "serve").chmod(0o755)
    (path / "plugin.json").write_text(json.dumps({"$schema": PLUGIN_SCHEMA, "name": name, "version": "1.0"}))
    entries = {"local": STDIO, "old": {"type": "sse", "url": "https://a"}, **servers}
    (path / "mcp.json").write_text(json.dumps({"$schema": MCP_SCHEMA, "mcpServers": entries}))
    return path


def names(data: Path) -> list[str]:
    return sorted(each.name for each in (data / "skills").iterdir())


def add(nanobot: Nanobot, data: Path, source: Path, *options: str) -> Ran:
    return nanobot("plugins", "add", str(source), *options, "--data", str(data))


def test_skills_are_installed_and_servers_stay_off(nanobot: Nanobot, data: Path, source: Path) -> None:
    added = add(nanobot, data, source)
    assert added.status == 0, added.err
    assert names(data) == ["bills", "offers"]
    assert "acme 1.0\n  skills: bills, offers\n  MCP server local: off" in added.out
    assert "MCP server old: cannot be used: its transport sse is not supported" in added.out
    assert "warning: the skill bad cannot be used" in added.out
    written = json.loads((data / "plugins" / "acme" / "mcp.json").read_text())
    package = data / "plugins" / "acme" / "package"
    assert list(written["mcpServers"]) == ["local"]
    assert written["mcpServers"]["local"]["command"] == str(package / "bin" / "serve")
    assert written["mcpServers"]["local"]["disabled"] is True
    assert (package / "bin" / "serve").stat().st_mode & 0o111
    assert str(data / "plugins" / "acme" / "mcp.json") in nanobot("plugins", "list", "--data", str(data)).out
    listed = nanobot("skills", "list", "--data", str(data)).out
    assert "offers\n" in listed and "bills\n" in listed


def test_an_update_replaces_what_was_there_and_keeps_the_data_of_its_servers(
    nanobot: Nanobot, data: Path, source: Path
) -> None:
    add(nanobot, data, source)
    (data / "plugins" / "acme" / "data" / "cache").write_text("kept")
    assert "--replace" in add(nanobot, data, source).err
    for path in (source / "skills" / "bills").iterdir():
        path.unlink()
    write(source / "skills", "letters")
    (source / "mcp.json").unlink()
    assert add(nanobot, data, source, "--replace").status == 0
    assert names(data) == ["letters", "offers"]
    assert (data / "plugins" / "acme" / "data" / "cache").read_text() == "kept"
    assert not (data / "plugins" / "acme" / "mcp.json").exists()


def test_a_skill_that_is_there_is_not_replaced_unasked(nanobot: Nanobot, data: Path, source: Path) -> None:
    write(data / "skills", "offers", "Mine.")
    refused = add(nanobot, data, source)
    assert refused.status == 2 and "of these names already: offers" in refused.err
    assert "Mine." in (data / "skills" / "offers" / "SKILL.md").read_text()
    assert names(data) == ["offers"] and not (data / "plugins").exists()


def test_a_plugin_goes_with_its_skills_but_for_those_that_were_changed(
    nanobot: Nanobot, data: Path, source: Path
) -> None:
    add(nanobot, data, source)
    write(data / "skills", "offers", "Mine now.")
    write(data / "skills", "other")
    removed = nanobot("plugins", "remove", "acme", "--data", str(data))
    assert removed.status == 0 and "the skill offers was changed since" in removed.out
    assert names(data) == ["offers", "other"]
    assert list((data / "plugins").iterdir()) == []
    for name in ("acme", "..", "../skills"):
        assert nanobot("plugins", "remove", name, "--data", str(data)).status == 2


def test_what_is_no_plugin_or_has_a_link_in_it_is_refused_and_leaves_nothing(
    nanobot: Nanobot, data: Path, source: Path, tmp_path: Path
) -> None:
    assert "no plugin" in add(nanobot, data, tmp_path).err
    (source / "passwords").symlink_to("/etc/passwd")
    refused = add(nanobot, data, source)
    assert refused.status == 2 and "is a link" in refused.err
    assert not (data / "skills").exists()
    assert "no plugin is installed" in nanobot("plugins", "list", "--data", str(data)).out


def wheel(path: Path, source: Path, prefix: str = "acme_plugin/") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("acme_plugin/__init__.py", "")
        for file in source.rglob("*"):
            if file.is_file():
                archive.write(file, prefix + str(file.relative_to(source)))
    return path


def test_a_plugin_in_a_wheel_is_found(nanobot: Nanobot, data: Path, source: Path, tmp_path: Path) -> None:
    made = wheel(tmp_path / "acme-1.0-py3-none-any.whl", source)
    added = add(nanobot, data, made)
    assert added.status == 0, added.err
    assert names(data) == ["bills", "offers"]
    assert (data / "plugins" / "acme" / "package" / "bin" / "serve").stat().st_mode & 0o111


def test_a_wheel_cannot_write_elsewhere_or_bring_links(
    nanobot: Nanobot, data: Path, source: Path, tmp_path: Path
) -> None:
    outside = wheel(tmp_path / "outside.whl", source)
    with zipfile.ZipFile(outside, "a") as archive:
        archive.writestr("acme_plugin/../../outside", "x")
    linked = wheel(tmp_path / "linked.whl", source)
    with zipfile.ZipFile(linked, "a") as archive:
        link = zipfile.ZipInfo("acme_plugin/link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    several = wheel(wheel(tmp_path / "several.whl", source), source)
    with zipfile.ZipFile(several, "a") as archive:
        archive.write(source / "plugin.json", "other/plugin.json")
    (tmp_path / "none.whl").write_bytes(b"PK nothing")
    for made, why in (
        (outside, "would not be in the plugin"),
        (linked, "is a link"),
        (several, "acme_plugin/, other/"),
        (tmp_path / "none.whl", "no wheel"),
        (tmp_path / "missing.whl", "no wheel"),
    ):
        refused = add(nanobot, data, made)
        assert refused.status == 2 and why in refused.err, (made, refused.err)
    assert not (data / "skills").exists() and not (data / "plugins").exists()
