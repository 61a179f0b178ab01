"""`nanobot people export`: it works beside a running server."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from nanobot.api.wire import people as wire
from nanobot.cli.new_file import new_file
from nanobot.cli.options import CONFIG, DATA, settings
from nanobot.cli.store import offline_store
from nanobot.core.memory import MemoryFact
from nanobot.core.offline import ReadOnlyStore
from nanobot.core.people import Person, PersonSession
from nanobot.core.uploads import Upload

_FILES_A_PAGE = 500
_FACTS_A_PAGE = 50


@click.command("export")
@click.argument("person")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@CONFIG
@DATA
def export(person: str, file: Path | None, config_file: Path | None, data: str | None) -> None:
    """Write all that is kept of PERSON, named as wx:alice, to FILE, which must be new, or to the standard
    output, as JSON.
    """
    config = settings(config_file, server={"data": data})
    with offline_store(config).open_readonly() as store:
        found = store.person(person)
        with new_file(file) as stream:
            for piece in _pieces(store, found):
                stream.write(piece)
    if file is not None:
        click.echo(f"{found.sessions} sessions written to {file}", err=True)


def _pieces(store: ReadOnlyStore, person: Person) -> Iterator[bytes]:
    """Yield the export as GET /v1/people/{person_id}/export sends it."""
    yield wire.export_begin(person)
    for number, scopes in enumerate(store.keys_of_person(person.id)):
        each = PersonSession(store.session(scopes.session), scopes)
        yield (b",\n" if number else b"") + wire.export_session(each)
        yield from _joined(wire.export_messages((row,)) for row in store.messages(scopes.session))
        yield wire.EXPORT_SESSION_END
    yield wire.EXPORT_FILES
    yield from _joined(map(wire.export_files, _files(store, person.id)))
    yield wire.EXPORT_FACTS
    yield from _joined(map(wire.export_facts, _facts(store, person.id)))
    yield wire.EXPORT_END


def _files(store: ReadOnlyStore, id_: str) -> Iterator[tuple[Upload, ...]]:
    before: str | None = None
    while page := store.uploads_of_person(id_, limit=_FILES_A_PAGE, before=before):
        yield page
        before = page[-1].id


def _facts(store: ReadOnlyStore, id_: str) -> Iterator[tuple[tuple[MemoryFact, ...], ...]]:
    after: str | None = None
    while page := store.facts_of_person(id_, limit=_FACTS_A_PAGE, after=after):
        yield page
        after = page[-1][0].id


def _joined(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the pieces with commas between them."""
    for number, piece in enumerate(pieces):
        yield (b",\n" if number else b"") + piece
