"""A turn is kept whole: whichever way it comes to the engine, nothing of it is missing."""

import types
import typing
from typing import Any, get_args, get_origin

import msgspec

from nanobot.core.dispatch import Claim
from nanobot.core.message import Message, Text
from nanobot.core.turn import Identity, Turn
from tests.contract.store_harness import StoreHarness, cancelled, done, failed

GIVEN: dict[str, Any] = {
    # A turn of the session, which the new one follows.
    "after": "turn_00000000000000000000000000",
    # `steer` and `reject` do not queue; `interrupt` is the one value besides the default that does.
    "when_busy": "interrupt",
    "input": (Message("user", (Text("hello"),)),),
    "session_key": "a",
    # The store makes it the model.
    "default_model": None,
    # Only of a turn without an API key.
    "address": "",
}
"""The fields of a turn that a store looks into: what fits the session of these tests."""


def sample(kind: Any) -> Any:
    """Return a value of the type that is no default of any field."""
    if kind is msgspec.Raw:
        return msgspec.Raw(b'{"a":[1]}')
    if get_origin(kind) is typing.Literal:
        return get_args(kind)[-1]
    if get_origin(kind) in (typing.Union, types.UnionType):
        return sample(next(each for each in get_args(kind) if each is not type(None)))
    if get_origin(kind) is tuple:
        return (sample(get_args(kind)[0]),)
    if get_origin(kind) is dict:
        return {"a": "b"}
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind(**{field.name: sample_of(field) for field in msgspec.structs.fields(kind)})
    simple: dict[type, Any] = {str: 'ß\n"\\', int: 7, float: 0.5, bytes: b"x", bool: True}
    return simple[kind]


def sample_of(field: msgspec.structs.FieldInfo) -> Any:
    return not field.default if isinstance(field.default, bool) else sample(field.type)


def whole_turn(turn_id: str) -> Turn:
    """Return a turn none of whose fields has its default, by reflection: a new field is set, too."""
    fields = msgspec.structs.fields(Turn)
    values = {field.name: GIVEN[field.name] if field.name in GIVEN else sample_of(field) for field in fields}
    turn = Turn(**{**values, "id": turn_id})
    assert [
        field.name
        for field in fields
        if field.name not in GIVEN and getattr(turn, field.name) == field.default
    ] == []
    return turn


async def admit(harness: StoreHarness, turn: Turn, *, is_retry: bool = False) -> None:
    await harness.store.admit(turn, Identity(b"1" * 32, is_retry=is_retry))


async def begin(harness: StoreHarness) -> Claim:
    """Return the claim on the turn that the others follow."""
    first = msgspec.structs.replace(harness.turn("a"), id=GIVEN["after"])
    await harness.store.admit(first, Identity(b"0" * 32))
    return await harness.engine.claim()


async def test_a_turn_that_starts_at_once_is_whole(harness: StoreHarness) -> None:
    await harness.store.append(await begin(harness), done("one"))
    turn = whole_turn("turn_1")
    await admit(harness, turn)
    assert (await harness.engine.claim()).turn == turn


async def test_a_turn_that_waited_is_whole(harness: StoreHarness) -> None:
    running = await begin(harness)
    turn = whole_turn("turn_1")
    await admit(harness, turn)
    await harness.engine.cancel()
    await harness.store.append(running, (cancelled(),))
    assert (await harness.engine.claim()).turn == turn


async def test_a_turn_that_is_retried_is_whole(harness: StoreHarness) -> None:
    await harness.store.append(await begin(harness), done("one"))
    turn = whole_turn("turn_1")
    await admit(harness, turn)
    await harness.store.append(await harness.engine.claim(), (failed(retryable=True),))
    await admit(harness, msgspec.structs.replace(turn, id="turn_2"), is_retry=True)
    again = await harness.engine.claim()
    assert (again.turn, again.attempt) == (turn, 2)


async def test_a_turn_that_was_running_at_a_crash_is_whole(harness: StoreHarness) -> None:
    await harness.store.append(await begin(harness), done("one"))
    turn = whole_turn("turn_1")
    await admit(harness, turn)
    await harness.engine.claim()
    await harness.reopen()
    again = await harness.engine.claim()
    assert (again.turn, again.attempt) == (turn, 2)


async def test_a_turn_that_was_waiting_at_a_crash_is_whole(harness: StoreHarness) -> None:
    running = await begin(harness)
    turn = whole_turn("turn_1")
    await admit(harness, turn)
    await harness.reopen()
    again = await harness.engine.claim()
    assert again.turn == running.turn
    await harness.store.append(again, done("one"))
    assert (await harness.engine.claim()).turn == turn


async def test_a_turn_that_wanted_to_steer_and_could_not_is_whole(harness: StoreHarness) -> None:
    await harness.store.append(await begin(harness), done("one"))
    running = await harness.start("a", "2", trace=False)
    turn = msgspec.structs.replace(whole_turn("turn_1"), when_busy="steer")
    await admit(harness, turn)
    await harness.store.append(running, (cancelled(),))
    assert (await harness.engine.claim()).turn == turn
