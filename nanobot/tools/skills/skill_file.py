"""A `SKILL.md`: what it says of itself, its instructions, and what is wrong with it."""

import unicodedata
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from nanobot.core.skill import as_name, why_no_name
from nanobot.core.unseen import without_unseen
from nanobot.tools.skills import front_matter

MOST_BYTES = 200_000
MOST_DESCRIPTION, MOST_COMPATIBILITY = 1_024, 500
_FIELDS = frozenset(("name", "description", "license", "compatibility", "metadata", "allowed-tools"))
_LONG_LINES, _LONG_TOKENS, _BYTES_PER_TOKEN = 500, 5_000, 4
_MOST_SHOWN = 80


class Finding(msgspec.Struct, frozen=True):
    """What is wrong with a skill: an error keeps it from being used. `departs`: the format forbids it."""

    level: Literal["error", "warning"]
    text: str
    departs: bool = False


class SkillFile(msgspec.Struct, frozen=True):
    """What a `SKILL.md` says; `name` is that of its folder. `allowed_tools`: those that it wishes to be
    allowed, which allows nothing.
    """

    name: str = ""
    description: str = ""
    body: str = ""
    license: str = ""
    compatibility: str = ""
    allowed_tools: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def errors(self) -> tuple[str, ...]:
        """Why it cannot be used; empty where it can."""
        return tuple(finding.text for finding in self.findings if finding.level == "error")

    @property
    def fits(self) -> bool:
        """Whether it is as the format wants it."""
        return not any(finding.level == "error" or finding.departs for finding in self.findings)


def read_skill_file(content: bytes, folder: str) -> SkillFile:
    """Return what the `SKILL.md` of the folder called `folder` says, and what is wrong with it."""
    if len(content) > MOST_BYTES:
        return _unreadable(f"SKILL.md has {len(content)} bytes: at most {MOST_BYTES} are read")
    try:
        head, body = front_matter.split(content.decode())
        fields, departures = _fields(head)
    except UnicodeDecodeError:
        return _unreadable("SKILL.md is not UTF-8")
    except front_matter.BadFrontMatter as error:
        return _unreadable(f"SKILL.md: {error}")
    # Every model that is offered the skill reads it: what people do not see of it, neither does a model.
    description = without_unseen(" ".join(_text(fields.get("description")).split()))
    if len(description) > MOST_DESCRIPTION:
        description = f"{description[: MOST_DESCRIPTION - 1]}…"
    return SkillFile(
        # What the agent calls it by leads to its files.
        name=folder,
        description=description,
        body=body,
        license=_text(fields.get("license")),
        compatibility=_text(fields.get("compatibility")),
        allowed_tools=_tools(fields.get("allowed-tools")),
        findings=(*departures, *_wrong(fields, folder), *_questionable(fields, body)),
    )


def _fields(head: str) -> tuple[dict[str, Any], tuple[Finding, ...]]:
    """Return the fields of a front matter, and what had to be mended to read them.

    Raises:
        BadFrontMatter
    """
    if (plain := front_matter.plain_fields(head)) is not None:
        return plain, ()
    # The reader of YAML takes several times as long to load as nanobot's own skills to read, which are plain.
    from nanobot.tools.skills import yaml_fields

    try:
        return yaml_fields.read(head), ()
    except front_matter.BadFrontMatter as error:
        quoted = front_matter.quoted(head)
        if quoted is None:
            raise
        try:
            fields = yaml_fields.read(quoted)
        except front_matter.BadFrontMatter:
            raise error from None
        return fields, (
            _departure("a text with a colon in it stands in no quotes: other agents may not read it"),
        )


def _departure(text: str) -> Finding:
    return Finding("warning", text, departs=True)


def _unreadable(why: str) -> SkillFile:
    return SkillFile(findings=(Finding("error", why),))


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _tools(value: Any) -> tuple[str, ...]:
    if isinstance(value, list):
        return tuple(each for each in value if isinstance(each, str))
    return tuple(_text(value).split())


def _wrong(fields: dict[str, Any], folder: str) -> Iterator[Finding]:
    """Yield what the format forbids: an error where it cannot be told what is meant."""
    for field in ("name", "description", "license", "compatibility"):
        if not isinstance(fields.get(field, ""), str):
            yield Finding("error", f"{field} is no text")
    name = _text(fields.get("name"))
    if why_no_name(folder) is not None:
        better = as_name(folder)
        advice = f"call the folder {better}" if better else "call it otherwise"
        yield Finding(
            "error", f"the folder {folder[:_MOST_SHOWN]!r} has no name that a skill may have: {advice}"
        )
    elif (why := why_no_name(name)) is not None:
        yield _departure(f"{why}; it is called as its folder is, {folder}")
    elif unicodedata.normalize("NFKC", name) != unicodedata.normalize("NFKC", folder):
        yield _departure(f"name {name!r} differs from the folder's: it is called as its folder is, {folder}")
    description = _text(fields.get("description"))
    if not description:
        yield Finding("error", "description is missing: say what the skill does and when it is to be used")
    for field, most in (("description", MOST_DESCRIPTION), ("compatibility", MOST_COMPATIBILITY)):
        size = len(_text(fields.get(field)))
        if size > most:
            yield _departure(f"{field} has {size} characters: at most {most} are allowed")
    metadata = fields.get("metadata") or {}
    if not isinstance(metadata, dict):
        yield _departure("metadata is no table of texts")


def _questionable(fields: dict[str, Any], body: str) -> Iterator[Finding]:
    """Yield what can be used all the same."""
    for field in sorted(fields.keys() - _FIELDS):
        shown = field if len(field) <= _MOST_SHOWN else f"{field[:_MOST_SHOWN]}…"
        yield Finding("warning", f"the field {shown!r} is not of the format, and has no effect")
    metadata = fields.get("metadata")
    if isinstance(metadata, dict) and not all(isinstance(each, str) for each in metadata.values()):
        yield Finding("warning", "metadata has a value that is no text")
    if fields.get("allowed-tools"):
        yield Finding(
            "warning", "allowed-tools allows nothing here: which tools may be called is the policy's to say"
        )
    if not body:
        yield Finding("warning", "there are no instructions below the front matter")
    lines, tokens = body.count("\n") + 1, len(body.encode()) // _BYTES_PER_TOKEN
    if lines > _LONG_LINES or tokens > _LONG_TOKENS:
        yield Finding(
            "warning",
            f"the instructions are long ({lines} lines, about {tokens} tokens; {_LONG_LINES} and"
            f" {_LONG_TOKENS} are recommended): put details into further files",
        )
