"""The names of people who have several."""

from nanobot.stores.sql.db import Db


def names_of(db: Db, id_: str) -> tuple[str, ...]:
    """Return all names of the person that has the name `id_`; the first one is the person's id."""
    found = db.execute(
        "SELECT person, name FROM person_link"
        " WHERE person = (SELECT person FROM person_link WHERE name = ?) ORDER BY name <> person, name",
        (id_,),
    ).fetchall()
    return tuple(name for _, name in found) or (id_,)
