"""The `openai` package for Python, as released: chat, streams, models, errors, retries."""

import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from tests.clients.serving import Provider, rule_based_server

HELLO: list[Any] = [{"role": "user", "content": "Hello, who are you?"}]


def asking(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


@pytest.fixture
def client(address: str, key: str) -> Iterator[OpenAI]:
    with OpenAI(
        base_url=f"{address}/v1", api_key="unused", default_headers={"x-session-key": key}, max_retries=0
    ) as client:
        yield client


@pytest.fixture
async def async_client(address: str, key: str) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(
        base_url=f"{address}/v1", api_key="unused", default_headers={"x-session-key": key}
    ) as client:
        yield client


# Chat ---------------------------------------------------------------------------------------------


def test_a_question_is_answered(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="nanobot", messages=HELLO)
    (choice,) = answer.choices
    assert choice.message.content == "You said: Hello, who are you?"
    assert (choice.message.role, choice.message.refusal, choice.finish_reason) == ("assistant", None, "stop")
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


def test_a_client_that_sends_one_message_a_time_is_remembered(client: OpenAI) -> None:
    client.chat.completions.create(model="nanobot", messages=asking("My cat is Mia"))
    seen = (
        client.chat.completions.create(model="nanobot", messages=asking("What do you see?"))
        .choices[0]
        .message.content
    )
    assert seen is not None
    assert "roles system user assistant user;" in seen
    assert seen.endswith("said My cat is Mia | What do you see?")


def test_a_client_that_resends_everything_is_not_heard_twice(client: OpenAI) -> None:
    messages = asking("My cat is Mia")
    answer = client.chat.completions.create(model="nanobot", messages=messages)
    messages += [answer.choices[0].message, *asking("What do you see?")]
    seen = client.chat.completions.create(model="nanobot", messages=messages).choices[0].message.content
    assert seen is not None
    assert "roles system user assistant user;" in seen
    assert seen.endswith("said My cat is Mia | What do you see?")


def test_instructions_reach_the_model_and_are_not_kept(client: OpenAI, provider: Provider) -> None:
    client.chat.completions.create(
        model="nanobot", messages=[{"role": "developer", "content": "Speak like a pirate."}, *HELLO]
    )
    client.chat.completions.create(model="nanobot", messages=asking("And now?"))
    first, second = (request.body.decode() for request in provider.requests)
    assert "pirate" in first
    assert "pirate" not in second


def test_what_is_not_to_be_stored_leaves_no_trace(client: OpenAI) -> None:
    client.chat.completions.create(model="nanobot", messages=asking("My cat is Mia"))
    client.chat.completions.create(model="nanobot", messages=asking("A title for this, please"), store=False)
    seen = (
        client.chat.completions.create(model="nanobot", messages=asking("What do you see?"))
        .choices[0]
        .message.content
    )
    assert seen is not None
    assert "title" not in seen


def test_settings_of_the_request_reach_the_model(client: OpenAI, provider: Provider) -> None:
    client.chat.completions.create(
        model="nanobot",
        messages=HELLO,
        temperature=0.5,
        top_p=0.9,
        max_completion_tokens=77,
        stop=["END"],
        seed=7,
        user="alice",
    )
    asked = provider.requests[-1].json
    assert (asked["temperature"], asked["top_p"], asked["stop"], asked["seed"]) == (0.5, 0.9, ["END"], 7)
    assert 77 in (asked.get("max_tokens"), asked.get("max_completion_tokens"))


# Streams ------------------------------------------------------------------------------------------


def test_a_stream_adds_up_and_ends_with_the_usage(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model="nanobot", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    texts = [
        chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content
    ]
    assert "".join(texts) == "You said: Hello, who are you?"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens > 0
    assert len({chunk.id for chunk in chunks}) == 1


async def test_the_asynchronous_client_streams(async_client: AsyncOpenAI) -> None:
    stream = await async_client.chat.completions.create(model="nanobot", messages=HELLO, stream=True)
    assert (
        "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        == "You said: Hello, who are you?"
    )


def test_the_stream_helper_sees_every_event(client: OpenAI) -> None:
    with client.chat.completions.stream(model="nanobot", messages=HELLO) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert "content.delta" in kinds
    assert kinds[-1] == "content.done"
    assert final.choices[0].message.content == "You said: Hello, who are you?"


# Models and errors --------------------------------------------------------------------------------


def test_models_are_listed_and_looked_up(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["nanobot"]
    assert client.models.retrieve("nanobot").object == "model"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"model": "gpt-9"}, openai.NotFoundError),
        ({"messages": []}, openai.BadRequestError),
        ({"temperature": 7}, openai.BadRequestError),
        ({"messages": asking("status 429")}, openai.RateLimitError),
        ({"messages": asking("status 503")}, openai.InternalServerError),
        ({"extra_headers": {"x-session-key": ""}}, openai.BadRequestError),
    ],
)
def test_failures_are_the_packages_own_exceptions(
    client: OpenAI, fields: dict[str, Any], expected: type[openai.APIStatusError]
) -> None:
    with pytest.raises(expected) as caught:
        client.chat.completions.create(**{"model": "nanobot", "messages": HELLO, **fields})
    assert type(caught.value) is expected
    assert caught.value.request_id
    assert caught.value.code
    if expected is openai.RateLimitError:
        assert int(caught.value.response.headers["retry-after"]) >= 1


def test_a_wrong_api_key_is_an_authentication_error(tmp_path: Path) -> None:
    with rule_based_server(tmp_path, NANOBOT_API_KEY="sk-right") as (address, _):
        for key, is_right in (("sk-wrong", False), ("sk-right", True)):
            with OpenAI(
                base_url=f"{address}/v1", api_key=key, default_headers={"x-session-key": "a"}, max_retries=0
            ) as client:
                if is_right:
                    assert client.chat.completions.create(model="nanobot", messages=HELLO).choices
                    continue
                with pytest.raises(openai.AuthenticationError):
                    client.chat.completions.create(model="nanobot", messages=HELLO)


# Retries ------------------------------------------------------------------------------------------


def test_a_request_with_the_same_idempotency_key_is_answered_from_the_store(
    client: OpenAI, provider: Provider
) -> None:
    once = {"Idempotency-Key": "order-1"}
    first = client.chat.completions.create(model="nanobot", messages=HELLO, extra_headers=once)
    again = client.chat.completions.create(model="nanobot", messages=HELLO, extra_headers=once)
    assert (first.id, first.choices[0].message.content) == (again.id, again.choices[0].message.content)
    assert len(provider.requests) == 1
    with pytest.raises(openai.UnprocessableEntityError):
        client.chat.completions.create(model="nanobot", messages=asking("something else"), extra_headers=once)


def test_the_packages_own_retry_after_a_rate_limit_does_not_double_the_message(
    client: OpenAI, provider: Provider
) -> None:
    """The provider refuses; the client's second try, under the same turn, is refused again; the transcript
    has nothing of it.
    """
    with pytest.raises(openai.RateLimitError):
        client.with_options(max_retries=1).chat.completions.create(
            model="nanobot", messages=asking("status 429")
        )
    assert len(provider.requests) == 2
    seen = (
        client.chat.completions.create(model="nanobot", messages=asking("What do you see?"))
        .choices[0]
        .message.content
    )
    assert seen is not None
    assert seen.endswith("said What do you see?")


def test_threads_on_one_session_take_turns(client: OpenAI) -> None:
    def ask(name: str) -> None:
        client.chat.completions.create(model="nanobot", messages=asking(f"I am {name}"))

    threads = [threading.Thread(target=ask, args=(name,)) for name in ("Ada", "Bob", "Cem", "Dan")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    seen = (
        client.chat.completions.create(model="nanobot", messages=asking("What do you see?"))
        .choices[0]
        .message.content
    )
    assert seen is not None
    assert "roles system" + " user assistant" * 4 + " user;" in seen


# Front ends ---------------------------------------------------------------------------------------


def test_a_front_end_names_its_chat_by_a_header_of_its_own(address: str, key: str) -> None:
    """As Open WebUI does: the whole visible history each time; a regenerated answer takes the place of the
    first.
    """
    with OpenAI(
        base_url=f"{address}/v1",
        api_key="unused",
        default_headers={"x-openwebui-chat-id": key},
        max_retries=0,
    ) as client:
        messages = asking("My cat is Mia")
        answer: Any = client.chat.completions.create(model="nanobot", messages=messages).choices[0].message
        client.chat.completions.create(
            model="nanobot", messages=[*messages, answer, *asking("And my dog is Rex")]
        )
        edited = client.chat.completions.create(
            model="nanobot", messages=[*messages, answer, *asking("What do you see?")]
        )
    assert (edited.choices[0].message.content or "").endswith("said My cat is Mia | What do you see?")
