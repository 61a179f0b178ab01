"""Which facts a session reaches, by the rules of the connection."""

from nanobot.core.memory import MemoryRules
from nanobot.core.scopes import LayerReach, readable, writable
from nanobot.stores.sql.db import Db
from nanobot.stores.sql.links import names_of


def of_session(db: Db, key: str, rules: MemoryRules) -> tuple[LayerReach, ...]:
    """Return what a turn of the session may read."""
    scopes = db.scopes.of(key)
    linked = names_of(db, scopes.person)
    return readable(scopes, linked=linked, shows_private_in_groups=rules.shows_private_in_groups)


def writable_of(db: Db, key: str) -> tuple[LayerReach, ...]:
    """Return what a turn of the session may write, the usual layer first."""
    return writable(db.scopes.of(key))
