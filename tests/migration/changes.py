"""What is answered otherwise than the old code did, on purpose: the old answers, brought up to date.

All else is as it was, byte for byte of the JSON.
"""

import copy
import json
import re
from typing import Any
from urllib.parse import quote

from nanobot.core.ids import time_of
from tests.migration.routes import Answers

_STEERED = {
    "turn_01mcer8bdyy9v9m7c2h87ntvya": "turn_01mcer8a6wfnpef7e3mbmdtw71",
    "turn_01mcer8cn0md3wdcasndndn87b": "turn_01mcer8a6wfnpef7e3mbmdtw71",
    "turn_01mckx3f4p5n83sp8q8thgw702": "turn_01mckx3dxmz7kgsgjd2f7vndw7",
    "turn_01mckx41emajpy8refw3v2a5ny": "turn_01mckx407jneabybg6xfxjpbge",
    "turn_01mckx42npcr72scykm7n7wkm5": "turn_01mckx407jneabybg6xfxjpbge",
}
"""The turns of the old database that joined another, and which."""
_ENDS = {"turn_01mcer82wgpj6csjdxwankdjb6": 10}
"""Where a failed turn ended, with events before that a stream of the old code did not show."""
_TURN = re.compile(r"(?:at first |then |at last )?(?:GET|POST) /v1/turns/(turn_\w+)(?:/cancel)? ")
_STREAM = re.compile(r"GET /v1/turns/(turn_\w+)/stream")
_USAGE = re.compile(r"(?:\w+ )*?GET /v1/(?:sessions/[^/]+/)?usage(?:\?\S*)? ")
_USAGE_OF_FAILS = re.compile(r"GET /v1/sessions/fails/usage(?:\?group=day,model)? ")
_EVENTS = re.compile(r"HEAD /v1/sessions/[^/]+/events ")
_LIST = re.compile(r"(?:at first |at last )?GET /v1/sessions\?limit=100 ")
_PAGE = re.compile(r"(GET /v1/sessions\?limit=20&order=(?:asc|desc))(?:&after=(\S+))? ")
_UNTRACED = "quiet:only"
"""A session of turns that leave no trace."""
ADDED = {
    ("GET", "/v1/approvals"),
    ("GET", "/v1/approvals/{approval_id}"),
    ("POST", "/v1/approvals/{approval_id}"),
    ("GET", "/v1/approval-rules"),
    ("DELETE", "/v1/approval-rules/{rule_id}"),
    ("POST", "/v1/responses/input_tokens"),
    ("POST", "/v1/responses/compact"),
    ("POST", "/v1/sessions/{key}/compact"),
    ("GET", "/v1/people"),
    ("GET", "/v1/people/{person_id}"),
    ("DELETE", "/v1/people/{person_id}"),
    ("GET", "/v1/people/{person_id}/sessions"),
    ("GET", "/v1/people/{person_id}/export"),
    ("POST", "/v1/people/{person_id}/codes"),
    ("POST", "/v1/people/{person_id}/links"),
    ("DELETE", "/v1/people/{person_id}/links/{linked_name}"),
    ("GET", "/v1/memory"),
    ("POST", "/v1/memory"),
    ("GET", "/v1/memory/export"),
    ("GET", "/v1/memory/{fact_id}"),
    ("PATCH", "/v1/memory/{fact_id}"),
    ("DELETE", "/v1/memory/{fact_id}"),
    ("GET", "/"),
    ("GET", "/web/{version}/{name}"),
    ("GET", "/approve/{token}"),
    ("POST", "/approve/{token}"),
    ("POST", "/mcp"),
}
"""The operations that the old code did not have."""


def brought_up_to_date(answers: Answers) -> Answers:
    """Return what is to be answered now where the old code answered this."""
    return {
        name: _changed(name, copy.deepcopy(answer))
        for name, answer in with_pages_joined(answers).items()
        if not _is_within_an_answer_of_another(name)
    }


def with_pages_joined(answers: Answers) -> Answers:
    """Return the answers with the pages of a list of sessions as one: where they end depends on what is in
    it.
    """
    joined: Answers = {}
    pages: dict[str, dict[str, Any]] = {}
    for name, answer in answers.items():
        if (page := _PAGE.match(name)) is None:
            joined[name] = answer
        else:
            pages.setdefault(page[1], {})[page[2] or ""] = answer["body"]
    for name, bodies in pages.items():
        listed, after, has_more = [], "", True
        while has_more:
            body = bodies[after]
            listed += body["data"]
            after, has_more = quote(body["last_id"], safe=""), body["has_more"]
        joined[f"{name}, all pages"] = {"status": 200, "body": {"data": listed}}
    return joined


def _is_within_an_answer_of_another(name: str) -> bool:
    """Whether a stream is taken up in the middle of an answer that is told to who steered no more."""
    found = _STREAM.match(name)
    return found is not None and found[1] in _STEERED and "[last-event-id:" in name


def _changed(name: str, answer: dict[str, Any]) -> dict[str, Any]:
    body: Any = answer.get("body")
    if _USAGE.match(name) and answer["status"] == 200:
        for each in (body, *body["data"]):
            totals = each["totals"]
            share = totals["cached_tokens"] / totals["prompt_tokens"] if totals["prompt_tokens"] else None
            totals["cached_share"] = share and round(share, 4)
    if isinstance(body, dict) and body.get("object") == "session.deleted":
        # The receipt counts what was remembered; then nothing was.
        body["removed"]["facts"] = 0
    if isinstance(body, dict) and body.get("object") == "chat.completion" and "NEW" not in body["id"]:
        # An answer that is given again tells the time of its turn.
        body["created"] = int(time_of(body["id"].replace("-", "_")))
    if (turn := _TURN.match(name)) is not None and answer["status"] == 200:
        _name_the_joined(body, turn[1])
    elif (stream := _STREAM.match(name)) is not None and answer["status"] == 200:
        if stream[1] in _STEERED:
            body = _without_the_answer(body, stream[1])
        answer["body"] = _with_ids(body, stream[1])
    elif isinstance(body, list) and "POST /v1/chat/completions" in name:
        answer["body"] = _with_ids(body, next(each["id"] for each in body if "id" in each).rpartition(":")[0])
    elif "[idempotency-key: steer-1]" in name:
        # Who steers gets an empty answer: its words are that of the turn that it joined.
        body["choices"][0]["message"]["content"] = ""
        body["usage"] = _of_nothing(body["usage"])
    elif (_LIST.match(name) and answer["status"] == 200) or name.endswith(", all pages"):
        # What leaves no trace is not listed, nor counted while it runs.
        body["data"] = [session for session in body["data"] if session["key"] != _UNTRACED]
        for session in body["data"]:
            if name.startswith("at first ") and session["key"] == "quiet":
                session["messages"] = 2
    elif name == "GET /v1/models (as admin)":
        # Presets are listed as `nanobot:NAME`.
        answer["body"] = json.loads(json.dumps(body).replace('"small"', '"nanobot:small"'))
    elif _USAGE_OF_FAILS.match(name):
        # A cost that is known is shown, also of a turn that was counted on a day before.
        (counted_before,) = (row["totals"] for row in body["data"] if row["totals"]["turns"] == 0)
        assert counted_before["cost_usd"] is None
        counted_before["cost_usd"] = 0.000267
    elif _EVENTS.match(name):
        # A stream that never ends has no head to ask for.
        answer = {"status": 405}
    elif name.startswith("then POST /v1/conversations (as admin) [x-session-key: conv:items]"):
        # A conversation that is there is returned.
        made = {"created_at": 1800172937, "metadata": {"made": "by items"}}
        answer = {"status": 200, "body": {"id": "conv:items", "object": "conversation", **made}}
    return answer


def _name_the_joined(turn: dict[str, Any], id_: str) -> None:
    """A turn tells which one it joined; the answer is that one's."""
    turn["joins"] = _STEERED.get(id_)
    if turn["joins"] is not None and turn["usage"] is not None:
        turn["answer"] = None
        turn["usage"] = _of_nothing(turn["usage"])


def _without_the_answer(events: list[dict[str, Any]], turn_id: str) -> list[dict[str, Any]]:
    """Return a stream's events but for its words and its tools: role, end, usage, `[DONE]`."""
    kept = [event for event in events if event["data"] == "[DONE]" or _is_frame(event["data"])]
    for event in kept:
        if "id" in event:
            event["id"] = f"{turn_id}:1"
        if event["data"] != "[DONE]" and event["data"]["usage"] is not None:
            event["data"]["usage"] = _of_nothing(event["data"]["usage"])
    return kept


def _with_ids(events: list[dict[str, Any]], turn_id: str) -> list[dict[str, Any]]:
    """Return a stream's events, each with an id but for `[DONE]`: that of the event before it, an error the
    next one.
    """
    at = 0
    for event in events:
        if event["data"] != "[DONE]":
            if "id" in event:
                at = int(event["id"].rpartition(":")[2])
            elif "error" in event["data"]:
                at = _ENDS.get(turn_id, at + 1)
            event["id"] = f"{turn_id}:{at}"
    return events


def _is_frame(chunk: dict[str, Any]) -> bool:
    return "choices" in chunk and all(
        "role" in choice["delta"] or choice["finish_reason"] is not None for choice in chunk["choices"]
    )


def _of_nothing(usage: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _of_nothing(value) if isinstance(value, dict) else value and 0 for name, value in usage.items()
    }
