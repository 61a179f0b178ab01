"""People as the store lists them, and uploads of theirs."""

from nanobot.core.sessions import SessionFilter
from nanobot.core.store import Store
from nanobot.core.uploads import Upload
from tests.contract.store_harness import StoreHarness

DM, GROUP, OTHER = "wx:dm:alice", "wx:group:g1:user:alice", "wx:group:g1:user:bob"
PRIVATE = SessionFilter(("wx:dm:*", "tg:dm:*"))


async def ids(store: Store, matching: SessionFilter = PRIVATE) -> list[str]:
    return [each.id for each in await store.people(limit=100, matching=matching)]


async def keys(store: Store, person: str) -> list[str]:
    return [each.session for each in await store.keys_of_person(person)]


async def keep(harness: StoreHarness, number: int, key: str) -> str:
    """Keep an upload of 5 bytes in the session `key`; return its id."""
    id_ = f"file-{number:026d}"
    made = Upload(id_, key, "a.txt", "user_data", 5, harness.clock.now())
    await harness.store.add_upload(made, b"hello", 1_000)
    return id_
