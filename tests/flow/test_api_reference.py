"""What the server says of itself: the OpenAPI document and the page that shows it."""

import base64
import hashlib
import re
from typing import Any
from urllib.parse import urljoin

import pytest

from nanobot.core.errors import NanobotError
from tests.asgi import Door
from tests.docs.test_reference import offered, tree
from tests.harness import OpenHarness


@pytest.fixture
async def document(door: Door) -> Any:
    return (await door.get("/openapi.json")).json


def references(node: object) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*map(references, node.values()))
    return set().union(*map(references, node)) if isinstance(node, list) else set()


def test_every_operation_is_in_the_document_and_nothing_else(document: Any) -> None:
    described = {
        f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods
    }
    assert described == set(offered())


def test_every_reference_leads_to_a_schema(document: Any) -> None:
    for reference in references(document):
        kind, name = reference.removeprefix("#/components/").split("/")
        assert name in document["components"][kind], reference


def test_operations_have_names_of_their_own(document: Any) -> None:
    names = [
        operation["operationId"] for methods in document["paths"].values() for operation in methods.values()
    ]
    assert len(names) == len(set(names))


def test_bounds_that_code_checks_are_told(document: Any) -> None:
    fields = document["components"]["schemas"]["ChatBody"]
    assert set(fields["required"]) == {"model", "messages"}
    assert {"type": "number", "minimum": 0, "maximum": 2} in fields["properties"]["temperature"]["anyOf"]
    assert "x-required" not in str(document)


def test_errors_are_told_with_status_and_codes_of_the_error_tree(document: Any) -> None:
    known = {(str(error.http_status), error.code) for error in tree(NanobotError)}
    told = set()
    for operation in (operation for methods in document["paths"].values() for operation in methods.values()):
        for status, answer in operation["responses"].items():
            schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
            for code in (
                schema["allOf"][1]["properties"]["error"]["properties"]["code"]["enum"]
                if "allOf" in schema
                else ()
            ):
                told.add((status, code))
    assert told <= known
    assert {
        ("404", "model_not_found"),
        ("429", "queue_full"),
        ("503", "model_overloaded"),
        ("409", "turn_cancelled"),
    } <= told


def test_only_what_is_open_is_told_as_open(document: Any) -> None:
    open_paths = {
        path
        for path, methods in document["paths"].items()
        if any(not operation["security"] for operation in methods.values())
    }
    assert open_paths == {
        *("/health", "/ready", "/openapi.json", "/docs", "/", "/web/{version}/{name}"),
        "/approve/{token}",
    }


def test_a_turn_leads_to_its_state(document: Any) -> None:
    links = document["paths"]["/v1/chat/completions"]["post"]["responses"]["200"]["links"]
    assert links["get_v1_turns_turn_id"]["parameters"] == {"turn_id": "$response.header.x-turn-id"}


def test_the_address_of_the_server_is_relative_to_the_document(document: Any) -> None:
    (server,) = document["servers"]
    assert urljoin("https://example.org/below/a/path/openapi.json", server["url"]) == (
        "https://example.org/below/a/path/"
    )


def test_streams_are_told(document: Any) -> None:
    assert (
        "text/event-stream"
        in document["paths"]["/v1/chat/completions"]["post"]["responses"]["200"]["content"]
    )


async def test_document_and_page_need_no_key(open_harness: OpenHarness) -> None:
    harness = await open_harness(api={"key": "secret-key-of-this-test"})
    for path in ("/openapi.json", "/docs"):
        reply = await harness.door.get(path)
        assert reply.status == 200
        assert "secret-key-of-this-test" not in reply.text


async def test_the_page_runs_its_own_script_and_style_only(door: Door) -> None:
    page = await door.get("/docs")
    policy = page.headers["content-security-policy"]
    for tag in ("script", "style"):
        (inner,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy


async def test_the_page_fetches_nothing_from_elsewhere(door: Door) -> None:
    assert not re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?https?:""", (await door.get("/docs")).text)


async def test_an_answer_has_all_that_the_document_requires_of_it(document: Any, door: Door) -> None:
    reply = (await door.chat("wx:dm:alice", "hi")).json
    schema = document["components"]["schemas"]["Completion"]
    assert (
        {"id", "object", "created", "choices", "usage", "service_tier"}
        <= set(schema["required"])
        <= set(reply)
    )
    message = document["components"]["schemas"]["ReplyMessage"]
    assert "reasoning_content" not in message["required"]
    assert set(message["required"]) <= set(reply["choices"][0]["message"])
