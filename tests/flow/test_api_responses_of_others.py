"""Responses and conversations of others do not exist, whatever an API key may do."""

import asyncio
from collections.abc import Mapping

from nanobot.access.caller import Caller
from nanobot.access.keyring import KeyRing
from nanobot.http.authentication import Authentication
from nanobot.http.guard import Guard
from nanobot.testing import ScriptedModel
from tests.flow.paused import RETRY
from tests.flow.responding import respond
from tests.harness import Harness, OpenHarness


class Named(Authentication):
    """Takes each caller for who it says it is, by its API key."""

    def __init__(self, callers: Mapping[str, Caller]) -> None:
        super().__init__(KeyRing(), always_required=False, max_bad_keys=0)
        self._callers = callers

    def caller(self, authorization: bytes, address: str | None, now: float) -> Caller:
        return self._callers.get(authorization.decode().removeprefix("Bearer "), Caller())


def limited(harness: Harness, **callers: Caller) -> Harness:
    """Let the server take each caller for who it says it is, by its API key."""
    guard = harness.app.asgi
    assert isinstance(guard, Guard)
    guard.authentication = Named(callers)
    return harness


ALICE = {"authorization": "Bearer alice"}
BOB = {"authorization": "Bearer bob"}


async def test_what_is_anothers_does_not_exist(open_harness: OpenHarness) -> None:
    """Word for word, and whatever the route: only the name that was asked for differs."""
    model = ScriptedModel("CANARY-1")
    harness = limited(
        await open_harness(model),
        alice=Caller("alice", patterns=("alice:*", "conv_*")),
        bob=Caller("bob", patterns=("bob:*", "conv_b*")),
    )
    made = await respond(harness, "CANARY-0", ALICE, conversation="alice:1")
    item = made.json["output"][0]["id"]
    calls = [
        ("GET", "/v1/responses/{response}", b""),
        ("GET", "/v1/responses/{response}?stream=true", b""),
        ("DELETE", "/v1/responses/{response}", b""),
        ("POST", "/v1/responses/{response}/cancel", b""),
        ("GET", "/v1/responses/{response}/input_items", b""),
        (
            "POST",
            "/v1/responses",
            b'{"model": "nanobot", "input": "x", "previous_response_id": "{response}"}',
        ),
        ("POST", "/v1/responses", b'{"model": "nanobot", "input": "x", "conversation": "{conversation}"}'),
        (
            "POST",
            "/v1/responses",
            (
                b'{"model": "nanobot", "input": [{"type": "item_reference", "id": "{item}"}, {"role": "user",'
                b' "content": "x"}]}'
            ),
        ),
        ("GET", "/v1/conversations/{conversation}", b""),
        ("POST", "/v1/conversations/{conversation}", b"{}"),
        ("DELETE", "/v1/conversations/{conversation}", b""),
        ("GET", "/v1/conversations/{conversation}/items", b""),
        ("POST", "/v1/conversations/{conversation}/items", b'{"items": [{"role": "user", "content": "x"}]}'),
        ("GET", "/v1/conversations/{conversation}/items/{item}", b""),
    ]
    real = {"response": made.json["id"], "conversation": "alice:1", "item": item}
    unknown = {
        "response": "resp_" + "0" * 26,
        "conversation": "alice:2",
        "item": "msg_" + "01m87hk3rez16m7sqd8a0jeeec" + "000000",
    }
    for method, path, body in calls:
        answers = []
        for names in (real, unknown):
            filled_path, filled_body = path, body.decode()
            for name, value in names.items():
                filled_path, filled_body = (
                    filled_path.replace(f"{{{name}}}", value),
                    filled_body.replace(f"{{{name}}}", value),
                )
            reply = await harness.door.call(method, filled_path, body=filled_body.encode(), headers=BOB)
            text = reply.text
            for name, value in names.items():
                text = text.replace(value, name)
            answers.append((reply.status, text))
        assert answers[0] == answers[1], (method, path)
        assert answers[0][0] == 404, (method, path)
        assert "CANARY" not in answers[0][1]
    assert (await harness.door.get(f"/v1/responses/{made.json['id']}", ALICE)).status == 200
    assert len(model.requests) == 1


async def test_a_key_whose_patterns_no_new_conversation_fits_must_name_one(open_harness: OpenHarness) -> None:
    harness = limited(await open_harness(ScriptedModel("ok")), bob=Caller("bob", patterns=("bob:*",)))
    refused = await respond(harness, headers=BOB)
    assert (refused.status, refused.error["code"]) == (400, "missing_session_key")
    assert (await harness.door.call("POST", "/v1/conversations", headers=BOB)).error[
        "code"
    ] == "missing_session_key"
    assert (await respond(harness, headers={**BOB, "x-session-key": "bob:1"})).status == 200


async def test_a_key_with_a_conversation_of_its_own_uses_that(open_harness: OpenHarness) -> None:
    harness = limited(await open_harness(ScriptedModel("ok")), bob=Caller("bob", session_key="bob:1"))
    first = await respond(harness, headers=BOB)
    assert first.json["conversation"] == {"id": "bob:1"}
    assert (await respond(harness, headers=BOB, conversation="bob:2")).json["conversation"] == {"id": "bob:2"}


async def test_a_key_that_may_only_chat_has_all_of_responses_and_reads_no_transcript(
    open_harness: OpenHarness,
) -> None:
    harness = limited(await open_harness(ScriptedModel("ok")), bob=Caller("bob", rights=frozenset({"chat"})))
    made = await respond(harness, headers=BOB)
    id_, conversation = made.json["id"], made.json["conversation"]["id"]
    for method, path, status in (
        ("GET", f"/v1/responses/{id_}", 200),
        ("GET", f"/v1/responses/{id_}/input_items", 200),
        ("POST", f"/v1/responses/{id_}/cancel", 200),
        ("DELETE", f"/v1/responses/{id_}", 200),
        ("GET", f"/v1/conversations/{conversation}", 200),
        ("GET", f"/v1/conversations/{conversation}/items", 403),
        ("DELETE", f"/v1/conversations/{conversation}", 403),
    ):
        assert (await harness.door.call(method, path, headers=BOB)).status == status, path


async def test_the_same_words_of_two_keys_are_two_responses(open_harness: OpenHarness) -> None:
    """A resend is one's own only: another key that says the same joins nothing."""
    harness = limited(
        await open_harness(ScriptedModel("one", "two")), alice=Caller("alice"), bob=Caller("bob")
    )
    for again in (RETRY, {"idempotency-key": "k"}):
        replies = [await respond(harness, headers={**who, **again}) for who in (ALICE, BOB)]
        assert replies[0].json["conversation"] != replies[1].json["conversation"]


async def test_twenty_conversations_at_once_know_their_own_secret_only(open_harness: OpenHarness) -> None:
    model = ScriptedModel(
        lambda request: " ".join(message.text for message in request.messages if message.role == "user")
    )
    harness = await open_harness(model, engine={"max_running_turns": 7})
    firsts = await asyncio.gather(*(respond(harness, f"CANARY-{number:02d}") for number in range(20)))
    seconds = await asyncio.gather(
        *(
            respond(
                harness, "what is my secret?", previous_response_id=first.json["id"], stream=number % 2 == 0
            )
            for number, first in enumerate(firsts)
        )
    )
    for number, second in enumerate(seconds):
        found = {f"CANARY-{other:02d}" for other in range(20) if f"CANARY-{other:02d}" in second.text}
        assert found == {f"CANARY-{number:02d}"}
    assert len(model.requests) == 40
