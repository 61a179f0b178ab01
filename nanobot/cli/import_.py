"""`nanobot import`: takes in conversations and memories of other programs, also beside a running server."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import click
import msgspec

from nanobot.cli import audit_log, import_report
from nanobot.cli.import_report import ImportReport, PlacedFact, TakenConversation
from nanobot.cli.options import CONFIG, DATA, session_key, settings
from nanobot.cli.store import offline_store
from nanobot.config import Config
from nanobot.core.clock import SystemClock
from nanobot.core.errors import InvalidRequest
from nanobot.core.ids import SystemRandomness, new_id
from nanobot.core.intake import ForeignConversation, ForeignFact, Intake
from nanobot.core.memory import NewFact
from nanobot.core.session_keys import parse_key
from nanobot.reading.exports.files import read
from nanobot.reading.exports.found import PROGRAMS, ExportContent, FoundConversation, FoundFact, Program

_CONFIDENCE = 0.7
"""Of facts that another program has noted down."""
_NAME = re.compile(r"\{(\w+)\}")
_NAMES = {"chatgpt": ("id",), "nanobot": ("id", "channel", "chat"), "mem0": ("user",)}
_OWNERS = {"nanobot": "id", "mem0": "user"}
"""What tells apart whose things an export has."""
_KNOWN_MESSAGES = "messages that were taken before"
_NOT_ASKED = "conversations and facts that were not asked for (--only, --no-facts, --no-conversations)"
_NOBODYS = "facts that do not say whose they are (import their file by itself, without {…} and --only)"


@click.command("import")
@click.argument("key")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--from", "program", type=click.Choice(PROGRAMS), help="Whose export it is [found out].")
@click.option(
    "--only", metavar="ID", multiple=True, help="Only what is of this chat or user; may be given again."
)
@click.option("--no-facts", is_flag=True, help="Only conversations.")
@click.option("--no-conversations", is_flag=True, help="Only facts.")
@click.option("--dry-run", is_flag=True, help="Only say what would be taken, and what is left out and why.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@CONFIG
@DATA
def command(
    key: str,
    file: Path,
    program: Program | None,
    only: Sequence[str],
    no_facts: bool,
    no_conversations: bool,
    dry_run: bool,
    as_json: bool,
    config_file: Path | None,
    data: str | None,
) -> None:
    """Take in FILE, an export of another program, for the person of the session KEY.

    FILE is ChatGPT's zip or its conversations.json; the workspace of HKUDS' nanobot, its MEMORY.md, USER.md
    or a file of its sessions; or a JSON list of mem0's memories. Conversations go into the session KEY, which
    nobody has talked in; with {id} in KEY each into one of its own. What was taken before is not taken again.
    """
    pattern = session_key(key)
    config = settings(config_file, server={"data": data})
    found = read(file, program, SystemClock().now())
    found = _chosen(found, only, facts=not no_facts, conversations=not no_conversations)
    _check_pattern(pattern, found)
    report = _would_take(config, pattern, found) if dry_run else _take(config, pattern, found)
    if not dry_run and (report.conversations or report.facts):
        audit_log.record(config, "nanobot import", session_key=pattern, target=found.program)
    if as_json:
        click.echo(msgspec.json.encode(import_report.as_object(report)))
    else:
        import_report.show(report, is_dry=dry_run)


# What is asked for --------------------------------------------------------------------------------


def _chosen(found: ExportContent, only: Sequence[str], *, facts: bool, conversations: bool) -> ExportContent:
    """Return what was asked for of it."""
    name = _OWNERS.get(found.program, "id")
    kept = ExportContent(found.program, [], [], Counter(found.left_out))
    for conversation in found.conversations:
        if conversations and (not only or conversation.names.get(name) in only):
            kept.conversations.append(conversation)
        else:
            kept.left_out[_NOT_ASKED] += 1
    for fact in found.facts:
        if facts and only and not fact.names:
            kept.left_out[_NOBODYS] += 1
        elif facts and (not only or fact.names.get(name) in only):
            kept.facts.append(fact)
        else:
            kept.left_out[_NOT_ASKED] += 1
    return kept


def _check_pattern(pattern: str, found: ExportContent) -> None:
    """Refuse to mix up what may be several people's.

    Raises:
        InvalidRequest: it says no key for each.
    """
    known = _NAMES[found.program]
    named = _NAME.findall(pattern)
    for name in named:
        if name not in known:
            choices = ", ".join(f"{{{each}}}" for each in known)
            raise InvalidRequest(
                f"KEY {pattern!r} has {{{name}}}: for {found.program} there is {choices}; nothing was"
                " imported"
            )
    owner = _OWNERS.get(found.program)
    if named or owner is None:
        return
    named_ones = [each.names for each in found.conversations] + [each.names for each in found.facts]
    owners = {names[owner] for names in named_ones if owner in names}
    if len(owners) > 1:
        shown = ", ".join(sorted(owners)[:10])
        raise InvalidRequest(
            f"this is of {len(owners)} chats or users, who may be several people: {shown}. Choose those of"
            f" one person with --only, or put {{{known[-1]}}} into KEY; nothing was imported"
        )


def _key_of(pattern: str, each: FoundConversation | FoundFact) -> str | None:
    """Return the session key of what was found; None: it does not say what the pattern asks for."""
    names = set(_NAME.findall(pattern))
    if not names <= each.names.keys():
        return None
    # A colon would make another person of it.
    key = _NAME.sub(lambda name: each.names[name[1]].replace("%", "%25").replace(":", "%3A"), pattern)
    return parse_key(key) or None


def _placed(pattern: str, found: ExportContent) -> dict[str, list[ForeignFact]]:
    """Return the facts by session key."""
    randomness, now = SystemRandomness(), SystemClock().now()
    placed: dict[str, list[ForeignFact]] = {}
    for each in sorted(found.facts, key=lambda fact: fact.at):
        key = _key_of(pattern, each)
        if key is None:
            found.left_out[_NOBODYS] += 1
            continue
        fact = NewFact(
            id=new_id("mem", now, randomness),
            text=each.text,
            origin="import",
            subject=each.subject,
            confidence=_CONFIDENCE,
        )
        # Notes may be of anything; these programs note down what the user is, has and likes.
        is_of_user = found.program != "nanobot"
        placed.setdefault(key, []).append(ForeignFact(fact, min(each.at, now), is_of_user))
    return placed


def _conversations(pattern: str, found: ExportContent) -> Iterable[tuple[str, str, ForeignConversation]]:
    """Yield the conversations with their session keys and titles, those that began first first."""
    of_session = "" if _NAME.search(pattern) else f"Imported from {found.program}"
    for each in sorted(found.conversations, key=lambda each: each.messages[0].created_at):
        if (key := _key_of(pattern, each)) is not None:
            title = of_session or each.title
            yield key, each.title, ForeignConversation(found.program, each.id, title, each.messages)


# Taking it ----------------------------------------------------------------------------------------


def _would_take(config: Config, pattern: str, found: ExportContent) -> ImportReport:
    conversations, placed = list(_conversations(pattern, found)), _placed(pattern, found)
    report = ImportReport(pattern, found.program, [], [], found.left_out)
    with offline_store(config).read_intake() as store:
        for key, title, conversation in conversations:
            _note(report, key, title, conversation, store.untaken(key, conversation))
        for key, facts in placed.items():
            _note_facts(report, key, facts, store.unknown_facts(key, facts))
    return report


def _take(config: Config, pattern: str, found: ExportContent) -> ImportReport:
    # Before anything is taken: a name that makes no key stops all of it.
    conversations, placed = list(_conversations(pattern, found)), _placed(pattern, found)
    report = ImportReport(pattern, found.program, [], [], found.left_out)
    with offline_store(config).write_intake() as store:
        for key, title, conversation in conversations:
            _note(report, key, title, conversation, store.take(key, conversation))
        for key, facts in placed.items():
            _note_facts(report, key, facts, store.remember(key, facts))
    return report


def _note(
    report: ImportReport, key: str, title: str, conversation: ForeignConversation, intake: Intake
) -> None:
    if intake.messages:
        begun_at = intake.messages[0].created_at
        report.conversations.append(
            TakenConversation(key, conversation.id, title, len(intake.messages), begun_at)
        )
    if intake.known:
        report.left_out[_KNOWN_MESSAGES] += intake.known
    if intake.problem:
        rest = len(conversation.messages) - intake.known - len(intake.messages)
        report.left_out[f"messages for {key}: {intake.problem}, name another KEY"] += rest


def _note_facts(
    report: ImportReport, key: str, facts: Sequence[ForeignFact], problems: Sequence[str]
) -> None:
    for each, problem in zip(facts, problems, strict=True):
        if problem:
            report.left_out[problem] += 1
        else:
            report.facts.append(PlacedFact(key, each.fact.text, each.fact.subject, each.at))
