"""Conversations of any length from a seed: small talk, and facts in it that are asked for later."""

import random
from typing import NamedTuple

from bench.memory.language import KINDS, REPLACED, Language
from bench.memory.languages import LANGUAGES

_REPEATED_SHARE = 0.5


class Question(NamedTuple):
    """What is asked at the end, and which message, counted from 0, has the answer."""

    text: str
    message: int
    kind: str


class Conversation(NamedTuple):
    """What was said, user and assistant in turns, and questions: in the words of the facts, and in others."""

    messages: list[str]
    asked: list[Question]
    paraphrased: list[Question]


def conversation(language: str, turns: int, seed: int) -> Conversation:
    """Return a conversation of so many turns. Some facts change; then the later message has the answer."""
    randomness = random.Random(f"{language} {turns} {seed}")
    spoken = LANGUAGES[language]
    facts = _facts(spoken, randomness)
    places = sorted(randomness.sample(range(turns), len(facts)))
    messages: list[str] = []
    at: dict[str, tuple[int, dict[str, str]]] = {}
    told_at = dict(zip(places, facts, strict=True))
    for turn in range(turns):
        if turn in told_at:
            kind, filling = told_at[turn]
            at[kind] = (len(messages), filling)
            messages.append(spoken.kinds[kind].statement.format(**filling))
        else:
            messages.append(randomness.choice(spoken.talk).format(**_filling(spoken, randomness)))
        messages.append(randomness.choice(spoken.answers))
    asked, paraphrased = [], []
    for kind, (message, filling) in sorted(at.items()):
        words = spoken.kinds[kind]
        asked.append(Question(words.asked.format(**filling), message, kind))
        paraphrased.append(Question(words.paraphrased, message, kind))
    return Conversation(messages, asked, paraphrased)


def _facts(spoken: Language, randomness: random.Random) -> list[tuple[str, dict[str, str]]]:
    """Return facts of every kind, in the order in which they are told."""
    kinds = list(KINDS)
    randomness.shuffle(kinds)
    again = [kind for kind in kinds if kind in REPLACED and randomness.random() < _REPEATED_SHARE]
    return [(kind, _filling(spoken, randomness)) for kind in kinds + again]


def _filling(spoken: Language, randomness: random.Random) -> dict[str, str]:
    filling = {name: randomness.choice(values) for name, values in spoken.fillings.items()}
    filling["city2"] = randomness.choice(
        [city for city in spoken.fillings["city"] if city != filling["city"]]
    )
    return filling
