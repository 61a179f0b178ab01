"""`nanobot skills list|add|check|remove`: they work beside a running server, which sees changes by itself."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import msgspec

from nanobot.app import choose_model
from nanobot.app.skills import files_of, skill_folders
from nanobot.cli import audit_log
from nanobot.cli.group import Group
from nanobot.cli.options import CONFIG, DATA, settings
from nanobot.cli.terminal import neutral, one_line
from nanobot.config import Config
from nanobot.core.errors import SkillError
from nanobot.core.skill import SKILL_FILE, SkillSource, as_name, why_no_name
from nanobot.models.providers import LOCAL
from nanobot.stores.workspaces.tree import is_supported
from nanobot.tools.skills.folder import CheckedSkill, read_folder, read_skill, scan
from nanobot.tools.skills.installing import copy_skill, remove_skill

_SHOWN_CHARS = 100


class _ShownSkill(msgspec.Struct):
    """A skill as `list` shows it. `problems`: why it is left out."""

    name: str
    source: SkillSource
    description: str
    allowed_tools: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


@click.group("skills", cls=Group)
def command() -> None:
    """List, add, check and remove the agent's skills, also while a server runs."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@CONFIG
@DATA
def list_(as_json: bool, config_file: Path | None, data: str | None) -> None:
    """List the skills that the agent has, and those that are left out, with the reason."""
    config = settings(config_file, server={"data": data})
    found = list(_listed(config))
    if as_json:
        click.echo(msgspec.json.encode(found))
        return
    if not config.skills.enabled:
        click.echo("skills are off (skills.enabled)")
    for skill in found:
        source = "" if skill.source == "folder" else " (nanobot's own)"
        click.echo(f"{neutral(skill.name)}{source}")
        if skill.problems:
            click.echo(f"  left out: {neutral('; '.join(skill.problems))}")
        else:
            click.echo(f"  {_cut(skill.description)}")
    if config.skills.enabled and choose_model(config, os.environ).name.provider == LOCAL:
        click.echo("the small model on this machine answers here, and is told of none: its window is small")
    click.echo(f"put further ones into {config.skills_folder}, or use `nanobot skills add DIR`")


@command.command("add")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="Replace a skill of this name.")
@CONFIG
@DATA
def add(directory: Path, replace: bool, config_file: Path | None, data: str | None) -> None:
    """Copy the skill in the directory DIR into the folder of skills. The server offers it within seconds."""
    config = settings(config_file, server={"data": data})
    check_system()
    source = _directory(directory)
    # Many are published in folders that are called as no skill may be.
    name = source.name if why_no_name(source.name) is None else as_name(source.name)
    file = copy_skill(files_of(source.parent), (source.name,), config.skills_folder, name, replaces=replace)
    audit_log.record(config, "nanobot skills add", target=file.name)
    click.echo(f"{neutral(file.name)} is in {config.skills_folder}")
    for finding in file.findings:
        click.echo(f"  {finding.level}: {neutral(finding.text)}")


@command.command("remove")
@click.argument("name", metavar="NAME")
@CONFIG
@DATA
def remove(name: str, config_file: Path | None, data: str | None) -> None:
    """Remove the skill NAME from the folder of skills."""
    config = settings(config_file, server={"data": data})
    if not remove_skill(config.skills_folder, name):
        raise SkillError(f"there is no skill {name!r} in {config.skills_folder}")
    audit_log.record(config, "nanobot skills remove", target=name)
    click.echo(f"{name} is removed")


@command.command("check")
@click.argument("paths", metavar="[DIR]...", nargs=-1, type=click.Path(path_type=Path))
@CONFIG
@DATA
def check(paths: tuple[Path, ...], config_file: Path | None, data: str | None) -> None:
    """Check the skills in each DIR, which is one or has some in it; by default those that the agent has.
    Exit status 1 if one cannot be used.
    """
    check_system()
    if paths:
        found = [skill for path in paths for skill in _in(path)]
    else:
        config = settings(config_file, server={"data": data})
        found = [
            skill for files in skill_folders(config).values() for skill in read_folder(files, scan(files))
        ]
        _check_chosen(config, {skill.file.name for skill in found})
    for skill in found:
        warnings = [finding.text for finding in skill.file.findings if finding.level == "warning"]
        state = "fits the format" if skill.file.fits else "can be used, but does not fit the format"
        state = "cannot be used" if skill.file.errors else state
        click.echo(f"{neutral(skill.folder)}: {state}")
        for level, texts in (("error", skill.file.errors), ("warning", warnings)):
            for text in texts:
                click.echo(f"  {level}: {neutral(text)}")
    if not found:
        click.echo("there are no skills")
    if any(skill.file.errors for skill in found):
        raise SystemExit(1)


def check_system() -> None:
    """Return where this system has what skills need.

    Raises:
        SkillError
    """
    if not is_supported():
        raise SkillError("this system cannot open files relative to folders: use WSL2 on Windows")


def _in(path: Path) -> Sequence[CheckedSkill]:
    """Return the skill that the directory is, or those that it has in it.

    Raises:
        SkillError: it is no directory.
    """
    path = _directory(path)
    if (path / SKILL_FILE).exists():
        return (CheckedSkill(path.name, read_skill(files_of(path.parent), path.name)),)
    files = files_of(path)
    return read_folder(files, scan(files))


def _directory(path: Path) -> Path:
    path = path.resolve()
    if not path.is_dir():
        raise SkillError(f"{path} is no directory: name the one that has the skill's {SKILL_FILE} in it")
    return path


def _check_chosen(config: Config, names: set[str]) -> None:
    """Say which skills the settings name that are not there."""
    tables = [
        ("agent", config.agent.skills),
        *((f"agents[{n}]", each.skills) for n, each in enumerate(config.agents)),
    ]
    for where, chosen in tables:
        for name in sorted(set(chosen or ()) - names):
            click.echo(f"warning: {where}.skills names {name!r}, which is not there")


def _listed(config: Config) -> Iterator[_ShownSkill]:
    if not is_supported():
        return
    taken: set[str] = set()
    for source, files in skill_folders(config).items():
        for skill in read_folder(files, scan(files)):
            problems = skill.file.errors
            if not problems and skill.folder in taken:
                problems = ("there is one of that name in the folder of skills",)
            if not problems:
                taken.add(skill.folder)
            yield _ShownSkill(
                skill.folder, source, skill.file.description, skill.file.allowed_tools, problems
            )


def _cut(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= _SHOWN_CHARS else f"{line[:_SHOWN_CHARS]}…"
