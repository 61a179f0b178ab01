"""The `openai` package for Python, as released: images, files in messages, and the files API."""

import base64
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.clients.pictures import pixel
from tests.clients.serving import Provider

NOTE = b"The launch code is kumquat."


def asking(*parts: Any) -> list[Any]:
    return [{"role": "user", "content": list(parts)}]


SEE: Any = {"type": "text", "text": "What do you see?"}


@pytest.fixture
def client(address: str, key: str) -> Iterator[OpenAI]:
    with OpenAI(
        base_url=f"{address}/v1", api_key="unused", default_headers={"x-session-key": key}, max_retries=0
    ) as client:
        yield client


def test_an_image_reaches_the_model(client: OpenAI, provider: Provider) -> None:
    answer = client.chat.completions.create(
        model="nanobot",
        messages=asking(SEE, {"type": "image_url", "image_url": {"url": pixel(), "detail": "low"}}),
    )
    assert "images 1" in (answer.choices[0].message.content or "")
    (part,) = [
        part for part in provider.requests[-1].json["messages"][-1]["content"] if part["type"] == "image_url"
    ]
    assert part["image_url"]["url"] == pixel()


def test_a_file_in_a_message_is_read_to_the_model(client: OpenAI) -> None:
    data = "data:text/plain;base64," + base64.b64encode(NOTE).decode()
    answer = client.chat.completions.create(
        model="nanobot",
        messages=asking(SEE, {"type": "file", "file": {"filename": "note.txt", "file_data": data}}),
    )
    assert "kumquat" in (answer.choices[0].message.content or "")


def test_a_file_is_kept_listed_read_and_deleted(client: OpenAI) -> None:
    made = client.files.create(file=("note.txt", NOTE), purpose="user_data")
    assert (made.object, made.filename, made.bytes, made.purpose) == (
        "file",
        "note.txt",
        len(NOTE),
        "user_data",
    )
    assert [file.id for file in client.files.list()] == [made.id]
    assert client.files.retrieve(made.id).filename == "note.txt"
    assert client.files.content(made.id).read() == NOTE
    assert client.files.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(made.id)


def test_an_uploaded_file_is_read_to_the_model_by_its_id(client: OpenAI) -> None:
    made = client.files.create(file=("note.txt", NOTE), purpose="user_data")
    answer = client.chat.completions.create(
        model="nanobot", messages=asking(SEE, {"type": "file", "file": {"file_id": made.id}})
    )
    assert "kumquat" in (answer.choices[0].message.content or "")


def test_a_file_of_another_session_does_not_exist(client: OpenAI) -> None:
    made = client.files.create(file=("note.txt", NOTE), purpose="user_data")
    other = client.with_options(default_headers={"x-session-key": "test:dm:somebody_else"})
    assert [file.id for file in other.files.list()] == []
    with pytest.raises(openai.NotFoundError):
        other.files.retrieve(made.id)
    with pytest.raises(openai.NotFoundError):
        other.files.content(made.id)
    with pytest.raises(openai.APIStatusError) as caught:
        other.chat.completions.create(
            model="nanobot", messages=asking(SEE, {"type": "file", "file": {"file_id": made.id}})
        )
    assert caught.value.status_code in (400, 404)
