"""Facts that a session remembers, and what of them its turns are given."""

from itertools import count

from nanobot.core.memory import MemoryFact, NewFact
from nanobot.core.origin import Origin
from nanobot.core.scopes import Layer
from tests.contract.store_harness import StoreHarness, StubEngine

ALICE, BOB = "wx:dm:alice", "wx:dm:bob"
ALICE_IN_G, BOB_IN_G, CAROL_IN_H = "wx:group:g:user:alice", "wx:group:g:user:bob", "wx:group:h:user:carol"
_numbers = count(1)


async def remember(
    harness: StoreHarness,
    key: str,
    text: str,
    *,
    turn_id: str | None = None,
    replaces: str | None = None,
    layer: Layer | None = None,
    origin: Origin = "conversation",
    subject: str = "",
    is_public: bool = False,
    is_pinned: bool = False,
) -> MemoryFact:
    harness.clock.advance(1)
    return await harness.store.remember(
        key,
        NewFact(
            id=f"mem_{next(_numbers):026d}",
            text=text,
            origin=origin,
            subject=subject,
            layer=layer,
            turn_id=turn_id,
            replaces=replaces,
            is_public=is_public,
            is_pinned=is_pinned,
        ),
    )


async def texts(harness: StoreHarness, key: str) -> list[str]:
    return [fact.text for fact in (await harness.store.facts(key, limit=100)).facts]


async def given_to_turn(harness: StoreHarness, key: str) -> list[str]:
    """Return what the engine gets with a turn of the session, however it gets there."""
    history = await harness.store.history(key, 1_000)
    return sorted(fact.text for fact in history.known.facts)


async def moved(harness: StoreHarness) -> tuple[MemoryFact, str]:
    """Two turns: Rome, then Berlin instead."""
    first = await harness.say(ALICE, "I live in Rome", "I see")
    rome = await remember(harness, ALICE, "lives in Rome", turn_id=first.turn.id)
    second = await harness.say(ALICE, "I moved to Berlin", "I see")
    await remember(harness, ALICE, "moved to Berlin", turn_id=second.turn.id, replaces="lives in Rome")
    return rome, second.turn.id


async def with_history(harness: StoreHarness) -> None:
    """Let claims bring the history."""
    await harness.engine.stop()
    harness.engine = StubEngine(harness.store, 64, 1_000)
    await harness.engine.settled()
