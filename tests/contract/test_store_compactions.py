"""What summaries cost is counted, whether they are kept or not, and whoever they were made for."""

from nanobot.core.compaction import Payer
from nanobot.core.message import Usage
from tests.contract.store_harness import StoreHarness

USED = Usage(prompt_tokens=300, completion_tokens=20)
FIRST, LAST = "0001-01-01", "9999-12-31"


async def test_a_summary_that_is_not_kept_is_paid_by_its_session_and_key(harness: StoreHarness) -> None:
    await harness.admit("a", "hello")
    await harness.store.add_spent(USED, Payer("a", "key_ann"))
    rows = await harness.store.session_usage("a", first_day=FIRST, last_day=LAST, group=())
    assert sum(row.usage.prompt_tokens for row in rows) == 300
    await of_key(harness, "key_ann", 300)


async def test_one_without_a_session_is_paid_by_its_key_alone(harness: StoreHarness) -> None:
    await harness.store.add_spent(USED, Payer("nobody", "key_ann"))
    await harness.store.add_spent(USED, Payer("", "key_ann"))
    await of_key(harness, "key_ann", 600)
    await of_key(harness, "key_bob", 0)


async def of_key(harness: StoreHarness, key_id: str, tokens: int) -> None:
    rows = await harness.store.usage(first_day=FIRST, last_day=LAST, group=(), key_id=key_id, only_key=True)
    assert sum(row.usage.prompt_tokens for row in rows) == tokens
