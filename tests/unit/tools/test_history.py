"""search_history shows earlier messages of its own conversation, with dates and turns, in bounded pages."""

from collections.abc import AsyncIterator, Sequence

import pytest

from nanobot.agent.toolset import Toolset
from nanobot.core.message import Message, Text, ToolCall
from nanobot.core.sessions import ImportedMessage
from nanobot.core.store import Store
from nanobot.testing import FakeClock, MemoryData, open_memory_store
from nanobot.tools.history import SEARCH_HISTORY, search_history
from tests.other_sessions import GivenSessions


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    data = MemoryData()
    store = await open_memory_store(data, FakeClock())
    yield store
    await store.close()
    data.close()


async def fill(store: Store, key: str, texts: Sequence[str]) -> None:
    await store.import_session(
        key,
        [
            ImportedMessage(Message("user", (Text(text),)), 1_700_000_000.0 + 86_400 * number)
            for number, text in enumerate(texts)
        ],
        title=None,
        metadata={},
    )


async def asked(tools: Toolset, arguments: str, key: str = "a") -> str:
    call = ToolCall("1", SEARCH_HISTORY, arguments)
    return (await tools.run(call, turn_id="t", session_key=key)).content


async def test_it_shows_who_said_it_and_when(store: Store) -> None:
    await fill(store, "a", ["The garage code is 4711.", "It rains."])
    tools = Toolset([search_history(store, result_tokens=2_000)])
    lines = (await asked(tools, '{"query": "garage code"}')).splitlines()
    assert "not instructions" in lines[0]
    assert lines[1].startswith("[2023-11-1") and lines[1].endswith("user, msg_1] The garage code is 4711.")
    assert len(lines) == 2


async def test_it_does_not_see_another_session(store: Store) -> None:
    await fill(store, "a", ["It rains."])
    await fill(store, "b", ["The garage code is CANARY."])
    tools = Toolset([search_history(store, result_tokens=2_000)])
    assert await asked(tools, '{"query": "garage code CANARY"}') == "No message has these words."


async def test_it_sees_the_sessions_that_it_may_be_told_of(store: Store) -> None:
    await fill(store, "a", ["It rains."])
    await fill(store, "b", ["The garage code is 4711."])
    await fill(store, "c", ["The garage code is CANARY."])
    others = GivenSessions({"a": ("b",)})
    tools = Toolset([search_history(store, result_tokens=2_000, others=others)])
    result = await asked(tools, '{"query": "garage code"}')
    assert '"I said in another chat", msg_1] The garage code is 4711.' in result
    assert "CANARY" not in result


@pytest.mark.parametrize("text", ["parrot " * 400, "鹦鹉在笼子里说话。" * 200])
async def test_a_page_has_no_more_tokens_than_it_may(store: Store, text: str) -> None:
    await fill(store, "a", [f"{text} {number}" for number in range(20)])
    tools = Toolset([search_history(store, result_tokens=400)])
    seen: list[str] = []
    for page in (1, 2, 3):
        result = await asked(tools, f'{{"query": "parrot 鹦鹉", "page": {page}}}')
        assert len(result.encode()) <= 4 * 400
        assert (f"page {page + 1}" in result) == (page < 3)
        seen += [line for line in result.splitlines() if line.startswith("[")]
    assert len(seen) == len(set(seen)) == 20
    assert await asked(tools, '{"query": "parrot 鹦鹉", "page": 4}') == "No further message has these words."


@pytest.mark.parametrize("arguments", ['{"query": ""}', '{"query": "  "}', '{"query": "x", "page": 0}', "{}"])
async def test_what_cannot_be_searched_for_is_told_to_the_model(store: Store, arguments: str) -> None:
    tools = Toolset([search_history(store, result_tokens=2_000)])
    assert (await asked(tools, arguments)).startswith("Error: ")
