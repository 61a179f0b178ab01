"""API keys for tests: put into a data directory as `nanobot keys create` does, beside the server that runs on
it.
"""

from typing import Any

from nanobot.core.accounts import RIGHTS, ApiKey, Quota, digest_of
from nanobot.stores.sqlite.offline import SqliteOffline
from tests.harness import Harness

OWNER = "sk-owner-0123456789-0123456789-0123456789"


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def give_key(harness: Harness, name: str, *patterns: str, **fields: Any) -> dict[str, str]:
    """Make an API key with all rights on the sessions of `patterns`; return the header that carries it."""
    token = f"nb-test-{name}"
    quota = Quota(**{field: fields.pop(field) for field in Quota.__struct_fields__ if field in fields})
    given = {"id": f"key_{name}", "rights": RIGHTS, "created_at": harness.app.clock.now(), **fields}
    with SqliteOffline(harness.data).write_api_keys() as keys:
        keys.insert(
            ApiKey(name=name, digest=digest_of(token.encode()), patterns=patterns, quota=quota, **given)
        )
    await harness.app.accounts.keys.refresh(harness.app.store)
    return bearer(token)
