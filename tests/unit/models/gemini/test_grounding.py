"""The sources of an answer that Google's search has grounded."""

from typing import Any

import msgspec
import pytest

from nanobot.core.message import Citation, Message, Text
from nanobot.models.gemini.generate import GeminiContent
from nanobot.models.gemini.grounding import with_sources
from tests.gemini_api import answered, candidate, chunk, text_part
from tests.unit.models.asking import heard
from tests.upstream import Upstream, event

TEXT = "Grüße! Papageien sprechen. Eulen nicht."
PAGES = [
    {"web": {"uri": "https://one.example/", "title": "one.example"}},
    {"web": {"uri": "https://two.example/", "title": "two.example"}},
]
SPOKEN = {"startIndex": 9, "endIndex": 28, "text": "Papageien sprechen."}
FIRST = Citation("https://one.example/", "one.example", 7, 26)
SECOND = Citation("https://two.example/", "two.example", 39, 39)


def sources(metadata: object) -> tuple[Citation, ...]:
    message = Message("assistant", (Text(TEXT),), "stop")
    return with_sources(message, msgspec.Raw(msgspec.json.encode(metadata))).citations


def supported(segment: object, indices: object = (0,)) -> dict[str, Any]:
    return {
        "groundingChunks": PAGES,
        "groundingSupports": [{"segment": segment, "groundingChunkIndices": indices}],
    }


async def test_sources_come_with_the_last_chunk(upstream: Upstream, model: GeminiContent) -> None:
    last = candidate(finish="STOP")
    last["candidates"][0]["groundingMetadata"] = supported(SPOKEN)  # type: ignore[index]
    upstream.then(answered(chunk(text_part(TEXT[:9])), chunk(text_part(TEXT[9:])), event(last)))
    _, message = await heard(model)
    assert message.citations == (FIRST, SECOND)


@pytest.mark.parametrize(
    "segment", [{"startIndex": 0, "endIndex": 5, "text": SPOKEN["text"]}, {"text": SPOKEN["text"]}]
)
def test_a_segment_of_another_part_is_found_by_its_text(segment: object) -> None:
    assert sources(supported(segment))[0] == FIRST


@pytest.mark.parametrize("segment", [None, {}, {"endIndex": 10**9}, {"text": "never said"}, "x"])
def test_a_segment_that_is_not_there_is_the_end(segment: object) -> None:
    assert sources(supported(segment))[0] == Citation("https://one.example/", "one.example", 39, 39)


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        [],
        {"groundingChunks": 1},
        {"groundingChunks": [None, {"web": {"uri": "ftp://x"}}], "groundingSupports": [None]},
    ],
)
def test_what_is_no_source_is_left_out(metadata: object) -> None:
    assert sources(metadata) == ()


@pytest.mark.parametrize("indices", [None, [9, -1, "0"], [[]]])
def test_pages_that_no_segment_names_stand_at_the_end(indices: object) -> None:
    assert {each.start for each in sources(supported(SPOKEN, indices))} == {39}
