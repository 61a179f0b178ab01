"""The skills as a model is told of them beforehand: a line for each, in the part of the prompt that stays the
same from turn to turn.
"""

from collections.abc import Sequence

from nanobot.core.skill import FIND_SKILLS, READ_SKILL, Skill

_INTRODUCTION = f"Skills: before work that one of them fits, call {READ_SKILL} and follow what it says."
_BYTES_PER_TOKEN = 3
_CUTS = (400, 240, 140)
"""To how many characters descriptions are cut, so that all skills have room."""
_NOTE_BYTES = 48


def skills_index(skills: Sequence[Skill], most_tokens: int) -> str:
    """Return what is said of the skills, in at most so many tokens: all of them, with descriptions cut where
    they are too long together, else the first ones. Empty where there are none.
    """
    if not skills or not most_tokens:
        return ""
    room = most_tokens * _BYTES_PER_TOKEN - len(_INTRODUCTION)
    for most_chars in (None, *_CUTS):
        lines = [_line(skill, most_chars) for skill in skills]
        if sum(len(line.encode()) + 1 for line in lines) <= room:
            return "\n".join((_INTRODUCTION, *lines))
    room -= _NOTE_BYTES
    shown: list[str] = []
    for line in lines:
        room -= len(line.encode()) + 1
        if room < 0:
            break
        shown.append(line)
    return "\n".join((_INTRODUCTION, *shown, f"({len(lines) - len(shown)} more: {FIND_SKILLS})"))


def _line(skill: Skill, most_chars: int | None) -> str:
    text = skill.description
    if most_chars is not None and len(text) > most_chars:
        text = f"{text[:most_chars].rsplit(' ', 1)[0].rstrip(' .,;:')}…"
    return f"- {skill.name}: {text}"
