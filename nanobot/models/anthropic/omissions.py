"""What a model refuses, learnt from its refusals: which fields its next requests go without.

The models of one API differ in what they take, and a list of them would be out of date with the next one.
A refusal is believed where it names a field at the beginning of its message. It is remembered for an hour
where it speaks of the model, not of one request's value, and once a request without the field was accepted.
"""

import re
from collections.abc import Callable
from typing import Literal

import msgspec

from nanobot.core.clock import Clock
from nanobot.models.anthropic.conversation import Replay

Topic = Literal["sampling", "forcing", "thinking", "replay", "limit"]

_REMEMBERED_S = 3600.0
_TOPICS: tuple[tuple[Topic, re.Pattern[str]], ...] = (
    ("limit", re.compile(r"max_tokens: (\d+) > (\d+)")),
    ("sampling", re.compile(r"`?(?:temperature|top_p|top_k)\b")),
    (
        "forcing",
        re.compile(r"tool_choice\b|`?thinking`? may not be enabled when `?tool_choice", re.IGNORECASE),
    ),
    (
        "replay",
        re.compile(
            r"messages\.\d+\.content\.\d+[\w.]*: .*(?:`thinking`|redacted_thinking|thinking block|signature)"
        ),
    ),
    ("replay", re.compile(r"messages\.\d+\.content\.\d+\.thinking\b")),
    (
        "thinking",
        re.compile(
            r"[\"'`]?(?:thinking|output_config)\b|adaptive thinking\b|this model does not support the effort",
            re.IGNORECASE,
        ),
    ),
)
_OF_THE_MODEL = re.compile(r"max_tokens: |(?!.*disabled).*(?:this model|bound to a different conversation)")
"""Refusals that other requests would meet too. That thinking cannot be switched off is no reason to go
without its other settings.
"""


class Omitted(msgspec.Struct, frozen=True):
    """What requests go without.

    `sampling`: temperature and top_p; `forcing`: a choice of tool that forces a call; `thinking`: the
    settings of thinking and effort. `replay`: how much earlier thinking is left. `output_limit`: the most
    output tokens that the model allows, where it said so.
    """

    sampling: bool = False
    forcing: bool = False
    thinking: bool = False
    replay: Replay = "all"
    output_limit: int | None = None


class Omissions:
    """What is known of one model; each topic is forgotten an hour after it was learnt."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[Topic, tuple[Omitted, float]] = {}

    def current(self) -> Omitted:
        """Return what requests go without now."""
        if not self._known:
            return Omitted()
        now = self._clock.now()
        self._known = {topic: known for topic, known in self._known.items() if now < known[1]}
        omitted = Omitted()
        for topic, (known, _) in self._known.items():
            omitted = _joined(omitted, topic, known)
        return omitted

    def learn(self, topics: dict[Topic, Omitted]) -> None:
        """Remember what a request that was accepted went without."""
        until = self._clock.now() + _REMEMBERED_S
        for topic, omitted in topics.items():
            self._known[topic] = (omitted, until)


class RequestAttempt:
    """One request and what its refusals were about: `omitted` is what the next try goes without."""

    def __init__(self, omissions: Omissions) -> None:
        self.omitted = omissions.current()
        self._begun_with = self.omitted
        self._omissions = omissions
        self._lessons: dict[Topic, Omitted] = {}

    @property
    def accepted(self) -> Callable[[], None] | None:
        """What to call once the request is accepted; None where nothing was learnt."""
        return self._accepted if self._lessons else None

    def adapts(self, status: int, body: bytes) -> bool:
        """Return whether the next try goes without what was refused."""
        if status not in (400, 422):
            return False
        message = _message(body)
        topic, found = _topic(message)
        if topic is None:
            return False
        lesson = self._lesson(topic, found)
        # This request goes without all earlier thinking, which is certain to help; later ones try with that
        # of their own turn first, where it matters most.
        now = Omitted(replay="none") if topic == "replay" else lesson
        omitted = _joined(self.omitted, topic, now)
        if omitted == self.omitted:
            return False
        if _OF_THE_MODEL.match(message):
            self._lessons[topic] = lesson
        self.omitted = omitted
        return True

    def _lesson(self, topic: Topic, found: re.Match[str] | None) -> Omitted:
        if topic == "replay":
            return Omitted(replay="turn" if self._begun_with.replay == "all" else "none")
        if topic == "limit":
            return Omitted(output_limit=int(found[2]) if found is not None else None)
        return Omitted(sampling=topic == "sampling", forcing=topic == "forcing", thinking=topic == "thinking")

    def _accepted(self) -> None:
        self._omissions.learn(self._lessons)


def _joined(omitted: Omitted, topic: Topic, known: Omitted) -> Omitted:
    field = "output_limit" if topic == "limit" else topic
    return msgspec.structs.replace(omitted, **{field: getattr(known, field)})


def _message(body: bytes) -> str:
    try:
        content = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return ""
    error = content.get("error") if isinstance(content, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    return message.strip() if isinstance(message, str) else ""


def _topic(message: str) -> tuple[Topic | None, re.Match[str] | None]:
    for topic, pattern in _TOPICS:
        found = pattern.match(message)
        if found is not None:
            return topic, found
    return None, None
