"""The sources that a provider names reach the client as OpenAI's annotations, through every door."""

import random
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from nanobot.models.openai.chat import OpenAIChat
from nanobot.models.remote_settings import RemoteSettings
from tests.clock import PausedClock
from tests.harness import OpenHarness
from tests.upstream import Upstream, chunk, event, finish, spoken, text

PARROTS, OWLS = "https://parrots.example/", "https://owls.example/"
SAID = "Grüße: parrots talk[1], owls do not[2]."


def source(url: str, title: str, start: int, end: int) -> dict[str, Any]:
    return {"start_index": start, "end_index": end, "title": title, "url": url}


MARKED = [source(PARROTS, "Parrots", 19, 22), source(OWLS, "Owls", 35, 38)]
AT_END = [source(PARROTS, "", len(SAID), len(SAID))]
RESULTS = [{"title": "Parrots", "url": PARROTS, "date": "2026-01-01"}, {"title": "Owls", "url": OWLS}]
ANNOTATED = [{"type": "url_citation", "url_citation": each} for each in MARKED]


def beside(**fields: Any) -> bytes:
    return event({"object": "chat.completion.chunk", "choices": [], **fields})


def saying(**fields: Any) -> tuple[bytes, ...]:
    """The answer in chunks which all have these fields."""
    return tuple(chunk({"content": piece}, **fields) for piece in (SAID[:12], SAID[12:20], SAID[20:]))


CASES: dict[str, tuple[tuple[bytes, ...], list[dict[str, Any]]]] = {
    "OpenRouter": ((text(SAID), chunk({"annotations": ANNOTATED}), finish()), MARKED),
    "OpenRouter, one by one": (
        (text(SAID), *[chunk({"content": "", "annotations": [each]}) for each in ANNOTATED], finish()),
        MARKED,
    ),
    "annotations that are flat": (
        (text(SAID), chunk({"annotations": [{"type": "url_citation", **MARKED[0]}]}), finish()),
        MARKED[:1],
    ),
    "Perplexity": ((*saying(citations=[PARROTS, OWLS], search_results=RESULTS), finish()), MARKED),
    "Perplexity, results alone": ((*saying(search_results=RESULTS), finish()), MARKED),
    "xAI": ((text(SAID), finish(), beside(citations=[PARROTS])), [source(PARROTS, "", 19, 22)]),
    "what is no source": (
        (
            text(SAID),
            chunk(
                {"annotations": [None, {"type": "file_citation"}, {"url_citation": {"url": "javascript:1"}}]}
            ),
            finish(),
            beside(citations={"a": 1}, search_results=[None, 1, {"url": 5}]),
        ),
        [],
    ),
    "places that cannot be": (
        (
            text(SAID),
            chunk({"annotations": [{"url_citation": {"url": PARROTS, "end_index": 999}}]}),
            finish(),
        ),
        AT_END,
    ),
}


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as server:
        yield server


@pytest.fixture
async def model(upstream: Upstream) -> AsyncIterator[OpenAIChat]:
    settings = RemoteSettings(
        name="test:test-model",
        model="test-model",
        base_url=upstream.url,
        api_key=None,
        context_tokens=32_000,
    )
    model = OpenAIChat(settings, clock=PausedClock(), random=random.Random(1))
    yield model
    await model.close()


def flat(annotations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each["url_citation"] for each in annotations]


@pytest.mark.parametrize("case", CASES)
async def test_sources_are_annotations_of_a_chat_completion(
    upstream: Upstream, model: OpenAIChat, open_harness: OpenHarness, case: str
) -> None:
    steps, wanted = CASES[case]
    upstream.then(spoken(*steps))
    harness = await open_harness(model)
    key = {"idempotency-key": "1"}
    whole = await harness.door.chat("k", "hi", key)
    assert whole.said == SAID
    assert flat(whole.json["choices"][0]["message"]["annotations"]) == wanted
    streamed = await harness.door.chat("k", "hi", key, stream=True)
    deltas = [each["choices"][0]["delta"] for each in streamed.chunks if each["choices"]]
    told = [delta["annotations"] for delta in deltas if "annotations" in delta]
    # Once, as SDKs cannot add to a list of these.
    assert [flat(each) for each in told] == ([wanted] if wanted else [])


@pytest.mark.parametrize("case", ["OpenRouter", "Perplexity", "what is no source"])
async def test_sources_are_annotations_of_a_response(
    upstream: Upstream, model: OpenAIChat, open_harness: OpenHarness, case: str
) -> None:
    steps, sources = CASES[case]
    wanted = [{"type": "url_citation", **each} for each in sources]
    upstream.then(spoken(*steps))
    harness = await open_harness(model)
    body = msgspec.json.encode({"model": "nanobot", "input": "hi", "stream": True})
    streamed = await harness.door.call("POST", "/v1/responses", body=body, headers={"x-session-key": "k"})
    events = [msgspec.json.decode(each.content) for each in streamed.events if each.content != "[DONE]"]
    added = [each for each in events if each["type"] == "response.output_text.annotation.added"]
    assert [each["annotation"] for each in added] == wanted
    assert [each["annotation_index"] for each in added] == list(range(len(wanted)))
    (part,) = [each["part"] for each in events if each["type"] == "response.content_part.done"]
    assert part["annotations"] == wanted
    response = events[-1]["response"]
    assert response["output"][0]["content"][0]["annotations"] == wanted
    again = await harness.door.get(f"/v1/responses/{response['id']}")
    assert again.json["output"] == response["output"]


async def test_sources_of_several_steps_count_from_the_beginning_of_the_answer(
    upstream: Upstream, model: OpenAIChat, open_harness: OpenHarness
) -> None:
    upstream.then(spoken(*saying(citations=[PARROTS]), finish("length")))
    upstream.then(spoken(text(" More[1]."), finish(), beside(citations=[OWLS])))
    harness = await open_harness(model)
    reply = await harness.door.chat("k", "hi")
    assert reply.said == f"{SAID} More[1]."
    found = flat(reply.json["choices"][0]["message"]["annotations"])
    assert [(each["url"], reply.said[each["start_index"] : each["end_index"]]) for each in found] == [
        (PARROTS, "[1]"),
        (OWLS, "[1]"),
    ]
    # Also of a stream that is resumed in the middle.
    rest = await harness.door.get(f"/v1/turns/{reply.turn_id}/stream?after={len(SAID) + 3}")
    told = [each["choices"][0]["delta"].get("annotations", []) for each in rest.chunks if each["choices"]]
    assert flat([each for some in told for each in some]) == found


async def test_sources_are_kept_with_the_message_and_outlive_export_and_import(
    upstream: Upstream, model: OpenAIChat, open_harness: OpenHarness
) -> None:
    upstream.then(spoken(*CASES["Perplexity"][0]))
    harness = await open_harness(model)
    await harness.door.chat("k", "hi")
    listed = await harness.door.get("/v1/sessions/k/messages?order=asc")
    assert (
        flat(listed.json["data"][1]["annotations"]) == MARKED and "annotations" not in listed.json["data"][0]
    )
    export = await harness.door.get("/v1/sessions/k/export")
    await harness.door.call("POST", "/v1/sessions/copy/import", body=export.text.encode())
    kept, copied = [(await harness.app.store.messages(key, limit=9))[-1].message for key in ("k", "copy")]
    assert kept == copied and len(kept.citations) == 2
    # The provider is not sent back what it said about them.
    await harness.door.chat("k", "and?")
    assert PARROTS not in upstream.requests[-1].body.decode()
