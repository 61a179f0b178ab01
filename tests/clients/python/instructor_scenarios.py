"""`instructor`, as released: by chat completions (tools, schemas) and by responses."""

from typing import Any

import instructor
from openai import OpenAI
from pydantic import BaseModel, field_validator

MODES = (instructor.Mode.TOOLS, instructor.Mode.JSON_SCHEMA, instructor.Mode.RESPONSES_TOOLS)


class Person(BaseModel):
    name: str
    age: int


def clients(address: str, key: str) -> list[Any]:
    """Return a client of each mode, on a session of its own."""
    return [
        instructor.from_openai(
            OpenAI(
                base_url=f"{address}/v1",
                api_key="unused",
                default_headers={"x-session-key": f"{key}:{mode.value}"},
                max_retries=0,
            ),
            mode=mode,
        )
        for mode in MODES
    ]


def asking(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def test_an_answer_is_parsed_into_the_clients_own_type(address: str, key: str) -> None:
    for client in clients(address, key):
        person = client.create(model="nanobot", messages=asking("My friend Ada is 36"), response_model=Person)
        assert person.model_dump() == {"name": "Ada", "age": 36}


def test_a_streamed_object_grows(address: str, key: str) -> None:
    for client in clients(address, key):
        seen = list(
            client.create_partial(
                model="nanobot", messages=asking("My friend Ada is 36"), response_model=Person
            )
        )
        assert seen[-1].model_dump() == {"name": "Ada", "age": 36}


def test_a_stream_of_objects_is_parsed(address: str, key: str) -> None:
    for client in clients(address, key):
        people = client.create_iterable(
            model="nanobot", messages=asking("My friend Ada is 36"), response_model=Person
        )
        assert [person.model_dump() for person in people] == [{"name": "Ada", "age": 36}]


def test_an_answer_that_does_not_validate_is_asked_for_again(address: str, key: str) -> None:
    for client in clients(address, key):
        tries: list[int] = []

        class Checked(Person):
            @field_validator("age")
            @classmethod
            def twice(cls, age: int, tries: list[int] = tries) -> int:
                tries.append(age)
                if len(tries) == 1:
                    raise ValueError("say it again")
                return age

        client.create(
            model="nanobot", messages=asking("My friend Ada is 36"), response_model=Checked, max_retries=2
        )
        assert len(tries) == 2


def test_the_conversation_goes_on_after_an_object(address: str, key: str) -> None:
    for client in clients(address, key)[:2]:
        client.create(model="nanobot", messages=asking("My friend Ada is 36"), response_model=Person)
        answer = client.client.chat.completions.create(model="nanobot", messages=asking("What do you see?"))
        assert answer.choices[0].message.content.endswith("said My friend Ada is 36 | What do you see?")
