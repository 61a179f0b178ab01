"""What a model's own answers have taught about it, for a while: servers are exchanged and updated."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

from nanobot.core.clock import Clock
from nanobot.core.model import Ability

REMEMBERED_S = 3600.0

Topic = Literal[
    "omit",
    "limit_field",
    "output_limit",
    "no_state",
    "empty_state",
    "blank_state",
    "replay",
    "text_only",
    "lacks",
    "window",
    "unopened_thinking",
]


class Lesson(NamedTuple):
    """A fact about one model.

    By topic, `name` is: `omit`, a field of the request that is left out; `limit_field`, the field for the
    limit of the answer; `output_limit`, the most tokens that an answer may have; `no_state`, a field of
    provider state that is not sent back; `empty_state`, one that must be there, if only empty; `blank_state`,
    one that counts as missing while it is empty; `replay`, how much earlier thinking is sent back, `turn` or
    `none`; `text_only`, a kind of part that a marker stands for; `lacks`, an ability; `window`, the size of
    the window in tokens. `unopened_thinking`: thinking lacks its opening tag.
    """

    topic: Topic
    name: str = ""


NOTHING: frozenset[Lesson] = frozenset()
_NO_NAMES: frozenset[str] = frozenset()


class Lessons:
    """What is known of one model; each lesson is forgotten an hour after it was last confirmed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: dict[Lesson, float] = {}
        self._known = NOTHING
        self._next_end = 0.0

    def known(self) -> frozenset[Lesson]:
        """Return what holds now."""
        if self._until and self._clock.now() >= self._next_end:
            self._forget()
        return self._known

    def confirm(self, lessons: Iterable[Lesson]) -> None:
        """Remember what an answer has shown."""
        until = self._clock.now() + REMEMBERED_S
        self._until.update(dict.fromkeys(lessons, until))
        self._forget()

    def window(self, context_tokens: int) -> int:
        """Return the size of the window in tokens, which is `context_tokens` unless it turned out smaller."""
        known = self.known()
        return min((context_tokens, *map(int, named(known, "window")))) if known else context_tokens

    def abilities(self, claimed: frozenset[Ability]) -> frozenset[Ability]:
        """Return those of the abilities `claimed` that the model did not turn out to lack."""
        known = self.known()
        return claimed - {*named(known, "lacks"), *named(known, "text_only")} if known else claimed

    def _forget(self) -> None:
        now = self._clock.now()
        self._until = {lesson: until for lesson, until in self._until.items() if now < until}
        self._known = frozenset(self._until)
        self._next_end = min(self._until.values(), default=0.0)


def named(lessons: frozenset[Lesson], topic: Topic) -> frozenset[str]:
    """Return the names that the lessons of a topic have."""
    return frozenset([lesson.name for lesson in lessons if lesson.topic == topic]) if lessons else _NO_NAMES


def missing(abilities: frozenset[Ability]) -> frozenset[Lesson]:
    """Return as lessons which abilities that a request may need the settings say the model lacks."""
    lessons = {
        "tools": Lesson("lacks", "tools"),
        "images": Lesson("text_only", "images"),
    }
    return frozenset(lesson for ability, lesson in lessons.items() if ability not in abilities)
