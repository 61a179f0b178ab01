"""`nanobot people list|show|link|unlink|export|erase`: they work beside a running server."""

from pathlib import Path

import click
import msgspec

from nanobot.cli import audit_log, people_erase, people_export
from nanobot.cli.group import Group
from nanobot.cli.options import CONFIG, DATA, settings
from nanobot.cli.store import offline_store
from nanobot.cli.terminal import local_time, neutral
from nanobot.core.people import Person, PersonSession

_MOST_SESSIONS = 100


@click.group("people", cls=Group)
def command() -> None:
    """List people, link their accounts, export and erase them, also while a server runs."""


command.add_command(people_export.export)
command.add_command(people_erase.erase)


@command.command("list")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="How many, at most.")
@click.option("--after", metavar="ID", help="Only people whose id comes after this one.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@CONFIG
@DATA
def list_(limit: int, after: str | None, as_json: bool, config_file: Path | None, data: str | None) -> None:
    """List the people who have talked to the agent, by their ids."""
    config = settings(config_file, server={"data": data})
    with offline_store(config).open_readonly() as store:
        people = store.people(limit=limit, after=after)
    if as_json:
        click.echo(msgspec.json.encode(people))
        return
    if not people:
        click.echo("nobody has talked to the agent yet" if after is None else "nobody comes after that id")
        return
    width = max(len(neutral(_names(person))) for person in people)
    click.echo(f"{'PERSON':{width}}  SESSIONS  LAST USED")
    for person in people:
        click.echo(
            f"{neutral(_names(person)):{width}}  {person.sessions:>8}  {local_time(person.updated_at)}"
        )


@command.command("show")
@click.argument("person")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@CONFIG
@DATA
def show(person: str, as_json: bool, config_file: Path | None, data: str | None) -> None:
    """Show PERSON, named as wx:alice: the linked accounts, and the newest 100 sessions."""
    config = settings(config_file, server={"data": data})
    with offline_store(config).open_readonly() as store:
        found = store.person(person)
        sessions = store.sessions_of_person(person, limit=_MOST_SESSIONS) if found.sessions else ()
    if as_json:
        click.echo(msgspec.json.encode({"person": found, "sessions": [_shown(each) for each in sessions]}))
        return
    click.echo(f"{neutral(_names(found))}: {found.sessions} sessions, {found.files} files")
    width = max((len(neutral(each.session.key)) for each in sessions), default=0)
    for each in sessions:
        where = "private" if each.scopes.group is None else f"in {neutral(each.scopes.group)}"
        used = local_time(each.session.updated_at)
        click.echo(
            f"  {neutral(each.session.key):{width}}  {each.session.messages:>6} messages  {used}  {where}"
        )


@command.command("link")
@click.argument("person")
@click.argument("other")
@CONFIG
@DATA
def link(person: str, other: str, config_file: Path | None, data: str | None) -> None:
    """Make one person of PERSON and OTHER, named as wx:alice and tg:42: each private chat is then told of
    the others.
    """
    config = settings(config_file, server={"data": data})
    with offline_store(config).write_people() as people:
        names = people.link(person, other)
    audit_log.record(config, "nanobot people link", session_key=person, target=other)
    click.echo(f"{neutral(', '.join(names))} are one person: {neutral(names[0])}")


@command.command("unlink")
@click.argument("name")
@CONFIG
@DATA
def unlink(name: str, config_file: Path | None, data: str | None) -> None:
    """Make the account NAME a person of its own again."""
    config = settings(config_file, server={"data": data})
    with offline_store(config).write_people() as people:
        people.unlink(name)
    audit_log.record(config, "nanobot people unlink", session_key=name)
    click.echo(f"{neutral(name)} is a person of its own")


def _names(person: Person) -> str:
    """Return the person's id, and the linked names behind it."""
    others = [name for name in person.names if name != person.id]
    return f"{person.id} (= {', '.join(others)})" if others else person.id


def _shown(each: PersonSession) -> dict[str, object]:
    """Return a session of a person as JSON shows it."""
    session = each.session
    return {
        "key": session.key,
        "person": each.scopes.person,
        "group": each.scopes.group,
        "messages": session.messages,
        "created_at": session.created_at,
        "updated_at": session.updated_at,
    }
