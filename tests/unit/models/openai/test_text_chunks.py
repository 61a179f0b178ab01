"""Chunks whose text is found without decoding them say the same as if they were decoded."""

import json

import pytest

from nanobot.models.openai.chunk import TextChunks, decode


def chunk(text: str, **others: object) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return json.dumps({"id": "a", "choices": [choice], **others}, ensure_ascii=False).encode()


@pytest.fixture
def chunks() -> TextChunks:
    learnt = TextChunks()
    learnt.learn(chunk("one"), "one")
    return learnt


@pytest.mark.parametrize(
    "text",
    ["two", "a\nline", 'a "quoted" word', "back\\slash", "größe 中 😀", '"}},{"content":"x"', "\\", '"'],
)
def test_the_text_of_a_chunk_like_an_earlier_one_is_what_decoding_says(chunks: TextChunks, text: str) -> None:
    payload = chunk(text)
    assert chunks.of([payload], 0) == [text]
    assert decode(payload).choices[0].delta.content == text  # type: ignore[index,union-attr]


@pytest.mark.parametrize(
    "payload",
    [
        chunk("two", usage={"prompt_tokens": 1}),
        chunk("two").replace(b"null", b'"stop"'),
        chunk("two").replace(b'"two"', b'"two", "refusal": "no"'),
        chunk("two").replace(b'"two"', b"null"),
        chunk("two").replace(b'"two"', b'"tw\xff"'),
        chunk("two").replace(b'"two"', b'"'),
        chunk("two").replace(b'"two"', b'"\\ud83d"'),
        chunk("two")[:-1],
        b"[DONE]",
    ],
)
def test_a_chunk_that_says_anything_else_is_to_be_decoded(chunks: TextChunks, payload: bytes) -> None:
    assert chunks.of([payload], 0) == []


def test_chunks_are_read_up_to_the_first_that_says_anything_else(chunks: TextChunks) -> None:
    other = chunk("three", usage={"prompt_tokens": 1})
    payloads = [chunk("none"), chunk("one"), chunk(""), chunk("two"), other, chunk("four")]
    assert chunks.of(payloads, 1) == ["one", "", "two"]
    assert chunks.of(payloads, 4) == []
    assert chunks.of(payloads, 6) == []


def test_nothing_is_learnt_from_a_chunk_with_two_fields_of_the_name() -> None:
    chunks = TextChunks()
    chunks.learn(chunk("one", extra={"content": "one"}), "one")
    assert chunks.of([chunk("two", extra={"content": "one"})], 0) == []


def test_a_server_that_changes_every_chunk_is_given_up() -> None:
    chunks = TextChunks()
    for number in range(9):
        chunks.learn(chunk("one", number=number), "one")
    assert chunks.of([chunk("two", number=3)], 0) == ["two"]
    assert chunks.of([chunk("two", number=8)], 0) == []
